"""Prints as JSON what TVM does in a process that torch is kept out of, as ours that search and time are.

A part of test_upstream_contracts.py: a process of its own, since the stub of TVM's intrinsics would stay.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from dlas.systems.tuners.metaschedule import intrinsics


def main() -> None:
    intrinsics.register("x86_64")
    intrinsics.register("aarch64")
    facts = {
        "torch": sorted(name for name in sys.modules if name.partition(".")[0] == "torch"),
        **intrinsics_found(),
        **record(),
    }
    print(json.dumps(facts))


def intrinsics_found() -> dict[str, Any]:
    from tvm.s_tir import TensorIntrin

    names = ("dot_16x4_vnni", "dot_4x4_i8i8s32_sdot")
    found = {name: TensorIntrin.get(name, allow_missing=True) is not None for name in names}
    return {"intrinsics": found}


def record() -> dict[str, Any]:
    """A search space of MetaSchedule's for a small product of matrices, and one of its records."""
    import tvm
    import tvm_ffi
    from tvm import te
    from tvm.s_tir import meta_schedule as ms

    left, right = (te.placeholder((64, 64), name=name) for name in ("left", "right"))
    k = te.reduce_axis((0, 64), "k")
    product = te.compute((64, 64), lambda i, j: te.sum(left[i, k] * right[k, j], axis=k))
    module = tvm.IRModule({"main": te.create_prim_func([left, right, product])})
    target = tvm.target.Target({"kind": "llvm", "num-cores": 2})
    context = ms.TuneContext(
        mod=module, target=target, space_generator="post-order-apply", search_strategy="evolutionary"
    )
    (*_, space) = context.generate_design_space()
    workload = ms.database.Workload(module)
    arguments = ms.arg_info.ArgInfo.from_entry_func(module, remove_preproc=True)
    described = ms.database.TuningRecord(space.trace, workload, [1.0, 3.0], target, arguments).as_json()
    again = ms.database.TuningRecord.from_json(described, workload)
    tile = next(each for each in space.trace.insts if each.kind.name == "SamplePerfectTile")
    replayed = tvm.s_tir.Schedule(module, error_render_level="fast")
    tvm.s_tir.Trace.apply_json_to_schedule(json.loads(json.dumps(described))[0], replayed)
    decisions: list[str] = []

    def decide(instruction: Any, inputs: Any, attributes: Any, decision: Any) -> Any:
        decisions.append(instruction.kind.name)
        return decision

    adapted = tvm.s_tir.Schedule(module, error_render_level="fast")
    again.trace.apply_to_schedule(adapted, remove_postproc=True, decision_provider=decide)
    return {
        "record": json.loads(json.dumps(described)),
        "run_secs": [float(each) for each in again.run_secs],
        "tile": [int(attribute) for attribute in tile.attrs],
        "replayed": bool(tvm_ffi.structural_equal(replayed.mod, space.mod)),
        "decisions": decisions,
        "of_gpus": "tvm.s_tir.tensor_intrin.cuda" in sys.modules,
    }


if __name__ == "__main__":
    main()
