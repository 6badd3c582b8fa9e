"""Rules across layers: what no single one of them can see."""

from __future__ import annotations

from dlas.config.layers.compiler import MIXED, OWN, TVM, VENDORS
from dlas.config.layers.dataset import Dataset
from dlas.config.layers.model import Model
from dlas.config.stack import OF_KERNELS, Stack
from dlas.errors import require
from dlas.files import weights_file
from dlas.interfaces.algorithm import Algorithm, GPUSchedule
from dlas.interfaces.network import NetworkFactory
from dlas.plugins import compilers, contracts
from dlas.plugins.registry import ALGORITHMS, FACTORIES, kernel_names, variants

UNTUNED = "none"


def check(stack: Stack) -> None:
    """Check what no single layer can see: that every implementation is there, and that the layers go
    together."""
    _require_factory(stack.model)
    _require_compiler(stack)
    _require_algorithms(stack)
    _require_data_type_last(stack)
    _require_format(stack)
    _require_image_size(stack.model, stack.dataset)
    if stack.target.kind == "cuda" and not stack.compiler.has_own_kernels:
        _require_gpu_schedules(stack)
    if stack.model.weights is not None:
        weights_file.find(stack.model.weights)


def _require_factory(model: Model) -> None:
    """Check the model's factory; one of a user's own by the source of its module."""
    factory = model.name if model.factory is None else model.factory
    own = FACTORIES.name(factory) in FACTORIES.names()
    key = "model.name" if model.factory is None else "model.factory"
    FACTORIES.require(key, factory if own else factory.rpartition(".")[0] or factory)
    lacking = [] if own else contracts.of_factory(factory)
    contracts.require_none(lacking, key, factory, FACTORIES.kind, NetworkFactory)


def _require_compiler(stack: Stack) -> None:
    """Check that a compiler of whole networks is installed and can write for the target; and that none but
    such a one has kernels of its own."""
    compiler = stack.compiler.name
    if not stack.compiler.has_own_kernels:
        owned = next((group for group in OF_KERNELS if getattr(stack, group).name == OWN), None)
        require(owned is None, f"{owned}.name", f"'{OWN}' says nothing to {compiler}", f"{owned}=<option>")
        _require_vendors(stack)
        return
    compilers.require_installed(compiler, "compiler")
    compilers.require_programs(compiler, "compiler")
    remedy = f"a target whose kind is cpu; or compiler={TVM}"
    require(stack.target.kind == "cpu", "target", f"{compiler} runs on CPUs, so far", remedy)
    compilers.require_for(compiler, "target", here=stack.target.reach == "local")


def _require_vendors(stack: Stack) -> None:
    """Check that kernels of vendors are chosen from by the one compiler that has them, and where they can be
    built and run."""
    declared = [name for name in stack.algo.algorithms if name in VENDORS]
    problem = f"{', '.join(declared)} is what compiler={MIXED} has beside the declared algorithms"
    require(not declared, "algo", problem, f"compiler={MIXED}, and algorithms that are TVM's")
    if stack.compiler.vendors:
        compilers.require_vendors(stack.compiler.name, "compiler")
        here = stack.target.reach == "local" and stack.target.kind == "cpu" and not stack.target.emulated
        remedy = f"a target whose kind is cpu and which is this machine; or compiler={TVM}"
        require(here, "target", f"{MIXED} runs on the CPU of this machine only, so far", remedy)


def _require_algorithms(stack: Stack) -> None:
    key = "algo.candidates" if stack.algo.candidates else "algo.module" if stack.algo.module else "algo.name"
    for name in stack.algo.algorithms:
        ALGORITHMS.require(key, name)
        _require_kernels(name, key)
    named: dict[str, str] = {}
    for name in (name for algorithm in stack.algo.algorithms for name in kernel_names(algorithm)):
        other = named.setdefault(name.rpartition(".")[2], name)
        problem = f"{other} and {name} are called alike in a library, which names kernels by the last part"
        require(other == name, key, problem, "another name for the module of one of them")


def _require_kernels(algorithm: str, key: str) -> None:
    """Check that every module of a user's own algorithm is there and offers what is asked of it."""
    for name in (name for name in kernel_names(algorithm) if ALGORITHMS.name(name) not in ALGORITHMS.names()):
        ALGORITHMS.require(key, name)
        contracts.require_none(contracts.of_algorithm(name), key, name, ALGORITHMS.kind, Algorithm)
    scheduling = variants(algorithm).cuda
    if scheduling is not None and ALGORITHMS.name(algorithm) not in ALGORITHMS.names():
        ALGORITHMS.require(key, scheduling)
        lacking = contracts.of_gpu_schedule(scheduling)
        contracts.require_none(lacking, key, scheduling, "schedule for GPUs", GPUSchedule)


def _require_data_type_last(stack: Stack) -> None:
    """Check that a change of data type comes last: pruning, fine-tuning and calibration take float32
    networks."""
    before = list(stack.compression.values())[:-1]
    early = next((step.name for step in before if step.data_type != "float32"), None)
    remedy = "a change of data type comes last, and only one: compression=[weight_pruning,int8]"
    require(early is None, "compression", f"nothing can be done after {early}", remedy)


def _require_format(stack: Stack) -> None:
    """Check that a sparse format is for float32 weights with zeros among them, by an algorithm with kernels
    for it."""
    name = stack.format.name
    if name in ("dense", "auto", OWN):
        return
    zeros = any(step.leaves_zeros for step in stack.compression.values()) or stack.model.weights is not None
    remedy = "compression=weight_pruning or compression=block_pruning; or format=dense"
    require(zeros, "format", f"{name} is for weights with zeros, and nothing here prunes any", remedy)
    other = next((step.name for step in stack.compression.values() if step.data_type != "float32"), None)
    require(other is None, "format", f"{name} holds float32 weights, not those of {other}", "format=dense")
    made = [name for name in stack.algo.algorithms if variants(name).sparse is not None]
    algorithm = stack.algo.name
    require(
        bool(made), "format", f"{algorithm} has no kernels for weights in {name}", "another algo= or format="
    )


def _require_gpu_schedules(stack: Stack) -> None:
    """Check what a GPU takes: dense floating-point kernels of algorithms with a schedule for it, untuned."""
    what = f"the GPU of '{stack.target.name}'"
    lacking = [name for name in stack.algo.algorithms if variants(name).cuda is None]
    remedy = "algo=direct or algo=gemm"
    require(not lacking, "algo", f"GPUs have no schedule of {', '.join(lacking)}", remedy)
    several = len(stack.algo.algorithms) > 1
    require(not several, "algo", f"'{stack.algo.name}' measures layers on CPUs, not on {what}", remedy)
    name = stack.format.name
    require(name == "dense", "format", f"no kernel of {what} takes weights in {name}", "format=dense")
    integer = any(step.data_type == "int8" for step in stack.compression.values())
    remedy = "compression=float16, or one that leaves float32"
    require(not integer, "compression", f"no kernel of {what} takes int8", remedy)
    tuned = stack.tuner.registered != UNTUNED
    require(
        not tuned, "tuner", f"{stack.tuner.name} tunes kernels of CPUs, not those of {what}", "tuner=none"
    )


def _require_image_size(model: Model, dataset: Dataset) -> None:
    """A network for large images would see next to nothing of small ones, or fail on the way."""
    made_for, given = model.image_size, dataset.image_size
    require(
        made_for is None or given is None or made_for == given,
        "model.image_size",
        f"'{model.name}' is made for {made_for}x{made_for} images and those of '{dataset.name}' are "
        f"{given}x{given}",
        f"choose another model= or dataset=, or model.image_size={given} to try it all the same",
    )
