"""Candidates for a board elsewhere: the asker, whose TVM is the board's, builds them and has them run there.

    {"build": [text of the loops, ...]}                    -> [{"library": path} | {"failed": reason}, ...]
    {"time": library, "arguments": [[shape, dtype], ...]}  -> {"seconds": s} | {"failed": reason}

This TVM's own runner for boards is of no use: neither its RPC nor its libraries are those of a later TVM.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import tvm
from lowering import lowered
from tvm.auto_scheduler import LocalBuilder, LocalRunner
from tvm.auto_scheduler.measure import BuildResult, MeasureErrorNo, MeasureInput, MeasureResult
from tvm.auto_scheduler.utils import get_const_tuple

from dlas.errors import last_line

Ask = Callable[[dict[str, Any]], Any]

FAILED_SECONDS = 1e10
"""Seconds by which Ansor records a candidate that did not run."""


def builder(ask: Ask, processes: int) -> LocalBuilder:
    """Ansor's builder, which has the asker build in so many processes."""

    def build(inputs: Sequence[MeasureInput], *_: object) -> list[BuildResult]:
        start = time.monotonic()
        texts = [_text(one) for one in inputs]
        built = iter(ask({"build": [text["text"] for text in texts if "text" in text]}))
        outcomes = [next(built) if "text" in text else text for text in texts]
        seconds = (time.monotonic() - start) / len(inputs)
        return [_build_result(one, outcome, seconds) for one, outcome in zip(inputs, outcomes, strict=True)]

    tvm._ffi.register_func("auto_scheduler.local_builder.build", build, override=True)
    return LocalBuilder(n_parallel=processes)


def runner(ask: Ask, record: Callable[[MeasureInput, MeasureResult], None]) -> LocalRunner:
    """Ansor's runner, which has the asker time candidates on its board; `record` is told each result as soon
    as it is known, since a board may be lost at any moment."""

    def run(inputs: Sequence[MeasureInput], built: Sequence[BuildResult], *_: object) -> list[MeasureResult]:
        results = []
        for one, artifact in zip(inputs, built, strict=True):
            results.append(_measured(ask, artifact))
            record(one, results[-1])
        return results

    tvm._ffi.register_func("auto_scheduler.local_runner.run", run, override=True)
    return LocalRunner()


def _text(one: MeasureInput) -> dict[str, str]:
    try:
        return {"text": lowered(one.task, one.state)}
    except Exception as error:  # TVM's errors have no class of their own
        return {"failed": last_line(error)}


def _build_result(one: MeasureInput, outcome: dict[str, str], seconds: float) -> BuildResult:
    if "failed" in outcome:
        return BuildResult(None, [], MeasureErrorNo.COMPILE_HOST, outcome["failed"], seconds)
    return BuildResult(
        outcome["library"], one.task.compute_dag.tensors, MeasureErrorNo.NO_ERROR, None, seconds
    )


def _measured(ask: Ask, built: BuildResult) -> MeasureResult:
    if built.error_no:
        return MeasureResult([FAILED_SECONDS], built.error_no, built.error_msg, built.time_cost, time.time())
    arguments = [[get_const_tuple(tensor.shape), tensor.dtype] for tensor in built.args]
    start = time.monotonic()
    outcome = ask({"time": built.filename, "arguments": arguments})
    error = MeasureErrorNo.RUNTIME_DEVICE if "failed" in outcome else MeasureErrorNo.NO_ERROR
    return MeasureResult(
        [outcome.get("seconds", FAILED_SECONDS)],
        error,
        outcome.get("failed"),
        built.time_cost + time.monotonic() - start,
        time.time(),
    )
