"""The declared stack as dataclasses: one choice per layer, and every rule about what is right.

Each group of `conf/` is one dataclass here. A dataset, a compression or a tuner has settings of its own, so
its YAML names a module whose `Settings` extends `Dataset`, `Compression` or `Tuner`. Every mistake is a
`UserError` that names the full key (`tuner.trials`) and what would be right. Nothing heavier than NumPy is
imported.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.metadata
import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from dlas import weights_file
from dlas.errors import UserError
from dlas.finding import module_exists
from dlas.merging import merged

REPOSITORY = Path(__file__).resolve().parent.parent
DEVICE = re.compile(r"cpu|mps|cuda(:\d+)?")
GROUPS = ("dataset", "model", "compression", "algo", "format", "compiler", "tuner", "target", "timing")
SINGLE_FORMATS = ("dense", "csr", "bsr", "channel_index")
FORMATS = (*SINGLE_FORMATS, "auto")
COMPILERS = ("tvm",)
UNTUNED = "dlas.systems.tuners.none"
REACHES = ("local", "rpc", "tracker")
KINDS = ("cpu", "cuda")
GPU_ARCH = re.compile(r"sm_\d{2,3}")
# What else decides the numbers of a point: a new version of any of these makes it another point.
TOOLS = ("dlas", "apache-tvm", "numpy", "pillow", "torch", "torch-pruning")

Options = TypeVar("Options")


def require(fits: bool, key: str, problem: str, remedy: str) -> None:
    """Raises `UserError` unless the value fits."""
    if not fits:
        raise UserError(problem, key=key, remedy=remedy)


@dataclass(frozen=True)
class Dataset:
    """Layer 1. `module` offers `Settings`, a subclass of this one, and `load(settings) -> ImageDataset`."""

    name: str
    module: str
    root: str | None = None

    @property
    def image_size(self) -> int | None:
        """Height and width of every image; None where only the files tell."""
        return None

    @property
    def classes(self) -> int | None:
        """How many classes the images are of; None where only reading them tells."""
        return None


@dataclass(frozen=True)
class Model:
    """Layer 2. `factory` is the dotted name of a function `(classes: int) -> torch.nn.Module`.

    With `weights` the network is not trained: it is what they say.
    """

    name: str
    factory: str
    image_size: int | None = None
    """Height and width of the images that the network is made for; null for any."""
    weights: str | None = None
    """A .pth, .pt or .safetensors file, or `package:<name>`: the one in that installed package."""
    mean: list[float] | None = None
    """Per channel, of pixels scaled to 0..1: what the weights were trained with, instead of the dataset's."""
    std: list[float] | None = None

    def __post_init__(self) -> None:
        size = self.image_size
        require(size is None or size >= 1, "model.image_size", f"{size} is too small", "1 or more, or null")
        mean, std, remedy = self.mean, self.std, "as many numbers as std, or null for both"
        require((mean is None) == (std is None), "model.mean", "mean and std go together", remedy)
        if mean is not None and std is not None:
            require(len(mean) == len(std) > 0, "model.mean", f"{len(mean)} numbers for {len(std)}", remedy)
            finite = all(math.isfinite(value) for value in mean)
            require(finite, "model.mean", f"{mean} is not finite", "numbers such as 0.485")
            positive = all(0 < value < math.inf for value in std)
            require(positive, "model.std", f"{std} cannot be divided by", "more than 0")


@dataclass(frozen=True)
class Train:
    """How the dense model is trained (SGD with momentum, OneCycle)."""

    epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4
    device: str = "cpu"

    def __post_init__(self) -> None:
        require(self.epochs >= 0, "train.epochs", f"{self.epochs} is negative", "0 or more")
        require(self.batch_size >= 1, "train.batch_size", f"{self.batch_size} is too small", "1 or more")
        rate = self.learning_rate
        require(0 < rate < math.inf, "train.learning_rate", f"{rate} is no step", "more than 0")
        require(0 <= self.momentum < 1, "train.momentum", f"{self.momentum} is out of range", "0 to below 1")
        decay = self.weight_decay
        require(0 <= decay < math.inf, "train.weight_decay", f"{decay} is out of range", "0 or more")
        known = DEVICE.fullmatch(self.device) is not None
        require(
            known, "train.device", f"'{self.device}' is no device", "cpu, cuda, cuda:0 (and so on) or mps"
        )


@dataclass(frozen=True)
class Compression:
    """Layer 3, a step of it. `module` offers `Settings`, a subclass of this one, `compress` and `restore`."""

    name: str
    module: str

    @property
    def key(self) -> str:
        """Where these settings stand."""
        return f"compression.{self.name}"

    @property
    def leaves_zeros(self) -> bool:
        """Whether weights are zero after it that a sparse format need not store."""
        return False

    @property
    def data_type(self) -> str:
        """Of the weights after it."""
        return "float32"


@dataclass(frozen=True)
class Algo:
    """Layer 4. `module` offers the functions of `dlas.algorithms`; or each layer gets the fastest of
    `candidates`, as measured on the target."""

    name: str
    module: str | None = None
    candidates: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        one = (self.module is None) != (not self.candidates)
        require(one, "algo.module", "is one algorithm, or null beside algo.candidates", "one of the two")

    @property
    def modules(self) -> list[str]:
        """One for every layer, or those that a layer may choose from."""
        return self.candidates if self.module is None else [self.module]


@dataclass(frozen=True)
class Format:
    """Layer 4. How the weights are stored; auto is the fastest of `candidates`, layer by layer."""

    name: str
    block: list[int] = field(default_factory=lambda: [8, 1])
    """bsr: output channels by elements of the (I, H, W) filter."""
    candidates: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = self.name in FORMATS
        require(known, "format.name", f"'{self.name}' is not built", f"one of: {', '.join(FORMATS)}")
        block = self.block
        right = len(block) == 2 and min(block) >= 1
        require(right, "format.block", f"{block} is no block", "rows and columns, such as [8,1]")
        wrong = [name for name in self.candidates if name not in SINGLE_FORMATS]
        remedy = f"a list of: {', '.join(SINGLE_FORMATS)}"
        require(not wrong, "format.candidates", f"{wrong} cannot be chosen", remedy)
        require(self.name != "auto" or bool(self.candidates), "format.candidates", "is empty", remedy)

    @property
    def formats(self) -> list[str]:
        """As a workload names them: one for every layer, or those that a layer may choose from."""
        names = self.candidates if self.name == "auto" else [self.name]
        rows, columns = self.block
        return [f"bsr{rows}x{columns}" if name == "bsr" else name for name in names]


@dataclass(frozen=True)
class Compiler:
    """Layer 5."""

    name: str
    opt_level: int = 3

    def __post_init__(self) -> None:
        known = self.name in COMPILERS
        require(known, "compiler.name", f"'{self.name}' is not built", f"one of: {', '.join(COMPILERS)}")
        level = self.opt_level
        require(0 <= level <= 3, "compiler.opt_level", f"{level} is out of range", "0, 1, 2 or 3")


@dataclass(frozen=True)
class Tuner:
    """Layer 5. `module` offers `Settings`, a subclass of this one, and `tune`."""

    name: str
    module: str


@dataclass(frozen=True)
class Rpc:
    """Where a board listens, or the tracker that it is registered with."""

    host: str = "127.0.0.1"
    port: int = 9090
    key: str = ""
    """What the board was started with; through a tracker, the kind of board that is asked for."""

    def __post_init__(self) -> None:
        require(bool(self.host.strip()), "target.rpc.host", "is empty", "a name or an address")
        right = 0 < self.port < 2**16
        require(right, "target.rpc.port", f"{self.port} is no port", "1 to 65535")
        plain = not any(character.isspace() for character in self.key)
        require(plain, "target.rpc.key", f"'{self.key}' has spaces", "one word")


@dataclass(frozen=True)
class Target:
    """Layer 6: as declared; what a null stands for is asked of LLVM and the operating system."""

    name: str
    triple: str | None = None
    cpu: str | None = None
    cores: int | None = None
    """Threads that compute at once; null for as many as the cores that may be used."""
    affinity: list[int] | None = None
    """The cores to run on, by number; null leaves them to the system."""
    linker: str | None = None
    """A command that takes `-shared -o library objects`; null looks for one."""
    features: list[str] = field(default_factory=list)
    """Of LLVM, beside the CPU's own: `+name` to use one, `-name` to do without it."""
    emulated: bool = False
    """Times of an emulated board say nothing about a real one, and are marked so."""
    reach: str = "local"
    """local: this machine; rpc: a board that listens at `rpc`; tracker: any board of `rpc.key` there."""
    rpc: Rpc = field(default_factory=Rpc)
    smt: bool = True
    """Whether several hardware threads of one core are used; else the first of each."""
    kind: str = "cpu"
    """cpu, or cuda: an NVIDIA GPU beside it computes."""
    arch: str | None = None
    """Of the GPU, its compute capability, such as sm_87; null for that of the GPU in this machine."""

    def __post_init__(self) -> None:
        enough = self.cores is None or self.cores >= 1
        require(enough, "target.cores", f"{self.cores} is too small", "1 or more, or null for every core")
        known = self.reach in REACHES
        require(known, "target.reach", f"'{self.reach}' is not built", f"one of: {', '.join(REACHES)}")
        self._require_gpu()
        for name in ("triple", "cpu", "cores"):
            told = self.reach == "local" or getattr(self, name) is not None
            remedy = "what the board has, as conf/target/raspberrypi4.yaml tells"
            require(told, f"target.{name}", "null stands for this machine, which is not the board", remedy)
        wrong = [feature for feature in self.features if feature[:1] not in ("+", "-")]
        require(not wrong, "target.features", f"{wrong} say neither + nor -", "such as [+dotprod,-fullfp16]")
        named = self.reach != "tracker" or bool(self.rpc.key)
        require(named, "target.rpc.key", "is empty", "the key of the boards that the tracker is asked for")
        self._require_affinity()

    def _require_gpu(self) -> None:
        known = self.kind in KINDS
        require(known, "target.kind", f"'{self.kind}' is not built", f"one of: {', '.join(KINDS)}")
        gpu = self.kind == "cuda"
        if self.arch is None:
            problem = "null stands for the GPU of this machine, and the board's is another"
            require(not gpu or self.reach == "local", "target.arch", problem, "such as sm_87")
            return
        require(
            gpu, "target.arch", f"{self.arch} is a GPU's, and the kind is cpu", "target.kind=cuda or null"
        )
        right = GPU_ARCH.fullmatch(self.arch) is not None
        require(right, "target.arch", f"'{self.arch}' is no compute capability", "such as sm_87")

    def _require_affinity(self) -> None:
        if self.affinity is None:
            return
        cores = self.affinity
        remedy = "different core numbers from 0, such as [4,5,6,7], or null"
        right = bool(cores) and min(cores) >= 0 and len(set(cores)) == len(cores)
        require(right, "target.affinity", f"{cores} are no cores", remedy)
        enough = self.cores is None or self.cores <= len(cores)
        require(enough, "target.affinity", f"{cores} are fewer than {self.cores} cores", "as many as cores")


@dataclass(frozen=True)
class Timing:
    """How a library is timed: in each session `runs` samples are kept, after `warmup` runs that are not."""

    name: str
    runs: int = 150
    warmup: int = 1
    sessions: int = 1
    """Fresh processes, one after another: one library differs between them by more than within one."""
    cold: int = 0
    """Further runs of each session, each after the caches were filled with something else."""
    yardstick: bool = False
    """Before each session one of a small network that is always the same, which tells of the board's pace."""
    batch_sizes: list[int] = field(default_factory=lambda: [1])
    """Images of a run: 1, then further sizes, which the network is built and timed for too."""

    def __post_init__(self) -> None:
        sizes = self.batch_sizes
        right = sizes[:1] == [1] and min(sizes) >= 1 and len(set(sizes)) == len(sizes)
        require(right, "timing.batch_sizes", f"{sizes} will not do", "1 first, then others, such as [1,4]")
        require(self.runs >= 1, "timing.runs", f"{self.runs} is too small", "1 or more")
        require(self.warmup >= 0, "timing.warmup", f"{self.warmup} is negative", "0 or more")
        require(self.sessions >= 1, "timing.sessions", f"{self.sessions} is too small", "1 or more")
        require(self.cold >= 0, "timing.cold", f"{self.cold} is negative", "0 or more")


@dataclass(frozen=True)
class Tracking:
    """Where MLflow keeps the runs; a null `uri` is MLFLOW_TRACKING_URI or `<artifacts>/mlflow.db`."""

    uri: str | None = None
    experiment: str = "dlas"

    def __post_init__(self) -> None:
        named = bool(self.experiment.strip())
        require(named, "tracking.experiment", "the experiment has no name", "a name such as dlas")


@dataclass(frozen=True)
class Stack:
    """One point: everything that was declared."""

    dataset: Dataset
    model: Model
    compression: dict[str, Compression]
    """Steps by name, each on what the one before it left; none for the network as it was trained."""
    algo: Algo
    format: Format
    compiler: Compiler
    tuner: Tuner
    target: Target
    timing: Timing
    train: Train = field(default_factory=Train)
    tracking: Tracking = field(default_factory=Tracking)
    seed: int = 0
    artifacts: str = "artifacts"

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", f"{self.seed} is out of range", "0 to 4294967295")


def config_folder() -> Path:
    """The folder of the YAML files: inside the package once installed, beside it in a checkout."""
    inside = Path(__file__).resolve().parent / "conf"
    return inside if (inside / "config.yaml").exists() else REPOSITORY / "conf"


def home() -> Path:
    """The folder of `artifacts/`: the checkout, or the working directory of an installed package."""
    return REPOSITORY if config_folder().parent == REPOSITORY else Path.cwd()


def default_artifacts() -> Path:
    """What `artifacts` is where nothing else was asked for."""
    return home() / "artifacts"


OmegaConf.register_new_resolver("dlas.home", lambda: str(home()), replace=True)


def parse(composed: DictConfig) -> Stack:
    """The composed YAML as a `Stack`, every field of its declared type and range.

    Raises `UserError` naming the key of the first thing that is wrong.
    """
    schema = OmegaConf.structured(Stack)
    OmegaConf.set_readonly(schema, False)
    for group, declared in get_type_hints(Stack).items():
        if isinstance(declared, type) and dataclasses.is_dataclass(declared):
            schema[group] = _declared_class(composed, group, declared)
    schema["compression"] = _compression_classes(composed)
    stack = cast(Stack, merged(schema, composed))
    check(stack)
    return dataclasses.replace(stack, artifacts=str(Path(stack.artifacts).expanduser().absolute()))


def check(stack: Stack) -> None:
    """What no single layer can see: that every implementation named by its dotted path is there."""
    for key, module in (
        ("dataset.module", stack.dataset.module),
        ("model.factory", stack.model.factory.rpartition(".")[0]),
        *(
            ("algo.module" if stack.algo.module else "algo.candidates", module)
            for module in stack.algo.modules
        ),
    ):
        _require_module(key, module)
    _require_data_type_last(stack)
    _require_format(stack)
    _require_image_size(stack.model, stack.dataset)
    if stack.target.kind == "cuda":
        _require_gpu_schedules(stack)
    if stack.model.weights is not None:
        weights_file.find(stack.model.weights)


def _require_data_type_last(stack: Stack) -> None:
    """Pruning, fine-tuning and calibration take float32 networks."""
    before = list(stack.compression.values())[:-1]
    early = next((step.name for step in before if step.data_type != "float32"), None)
    remedy = "a change of data type comes last, and only one: compression=[weight_pruning,int8]"
    require(early is None, "compression", f"nothing can be done after {early}", remedy)


def _require_format(stack: Stack) -> None:
    """Sparse formats are for float32 weights with zeros among them, by an algorithm with kernels for them."""
    name = stack.format.name
    if name in ("dense", "auto"):
        return
    zeros = any(step.leaves_zeros for step in stack.compression.values()) or stack.model.weights is not None
    remedy = "compression=weight_pruning or compression=block_pruning; or format=dense"
    require(zeros, "format", f"{name} is for weights with zeros, and nothing here prunes any", remedy)
    other = next((step.name for step in stack.compression.values() if step.data_type != "float32"), None)
    require(other is None, "format", f"{name} holds float32 weights, not those of {other}", "format=dense")
    made = [module for module in stack.algo.modules if module_exists(f"{module}_sparse")]
    algorithm = stack.algo.name
    require(
        bool(made), "format", f"{algorithm} has no kernels for weights in {name}", "another algo= or format="
    )


def _require_gpu_schedules(stack: Stack) -> None:
    """A GPU takes dense floating-point kernels of algorithms with a schedule for it, untuned."""
    what = f"the GPU of '{stack.target.name}'"
    lacking = [
        module.rpartition(".")[2] for module in stack.algo.modules if not module_exists(f"{module}_cuda")
    ]
    remedy = "algo=direct or algo=gemm"
    require(not lacking, "algo", f"GPUs have no schedule of {', '.join(lacking)}", remedy)
    several = len(stack.algo.modules) > 1
    require(not several, "algo", f"'{stack.algo.name}' measures layers on CPUs, not on {what}", remedy)
    name = stack.format.name
    require(name == "dense", "format", f"no kernel of {what} takes weights in {name}", "format=dense")
    integer = any(step.data_type == "int8" for step in stack.compression.values())
    remedy = "compression=float16, or one that leaves float32"
    require(not integer, "compression", f"no kernel of {what} takes int8", remedy)
    tuned = stack.tuner.module != UNTUNED
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


def declared_target(name: str) -> Target:
    """What `conf/target/<name>.yaml` says; UserError where there is none."""
    return _declared("target", name, Target)


def declared_timing(name: str) -> Timing:
    """What `conf/timing/<name>.yaml` says; UserError where there is none."""
    return _declared("timing", name, Timing)


def _declared(group: str, name: str, cls: type[Options]) -> Options:
    folder = config_folder() / group
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    require(name in known, group, f"there is no {group} '{name}'", f"one of: {', '.join(known)}")
    written = cast(DictConfig, OmegaConf.load(folder / f"{name}.yaml"))
    return cast(Options, merged(OmegaConf.structured(cls), written))


def options(cls: type[Options], arguments: list[str]) -> Options:
    """`key=value` arguments of a small command as its dataclass of options; `UserError` names a wrong one."""
    for argument in arguments:
        known = f"known: {', '.join(f'{option.name}=' for option in dataclasses.fields(cast(Any, cls)))}"
        require("=" in argument, argument, "is not of the form key=value", known)
    try:
        given = OmegaConf.from_dotlist(arguments)
    except YAMLError:
        raise UserError(
            "cannot be read", key=" ".join(arguments), remedy="key=value, with quotes around odd characters"
        ) from None
    return cast(Options, merged(OmegaConf.structured(cls), given))


def to_yaml(stack: Stack) -> str:
    """The resolved stack as YAML; `parse(OmegaConf.create(text))` gives the same stack again."""
    return OmegaConf.to_yaml(OmegaConf.structured(stack))


def flat(stack: Stack) -> dict[str, str]:
    """Every setting by its full key (`tuner.trials`), and the steps of `compression`, as text."""
    steps = "+".join(stack.compression) or "none"
    return {**dict(_leaves(dataclasses.asdict(stack), "")), "compression": steps}


def identity(stack: Stack) -> str:
    """The sha256 (hex) of what decides a point: its settings and the tools' versions.

    Paths and addresses don't count. Given weights count by what is in the file.
    """
    settings = dataclasses.asdict(stack)
    del settings["artifacts"], settings["tracking"], settings["dataset"]["root"]
    settings["dataset"].pop("calibration_root", None)
    for address in ("reach", "rpc", "linker"):
        del settings["target"][address]
    settings["compression"] = list(settings["compression"].items())  # their order counts
    if stack.model.weights is not None:
        settings["model"]["weights"] = weights_file.digest(weights_file.find(stack.model.weights))
    versions = {tool: _version(tool) for tool in TOOLS}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    canonical = json.dumps({"stack": settings, "versions": versions, "python": python}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _declared_class(composed: DictConfig, group: str, base: type) -> type:
    """`base`, or what extends it where options differ in their settings."""
    choice = composed.get(group)
    if group in GROUPS:
        remedy = f"{group}=<option>; dlas-run --help lists them"
        require(isinstance(choice, DictConfig), group, "no option is chosen", remedy)
    return _settings_class(choice, group, base) if base in (Dataset, Tuner) else base


def _compression_classes(composed: DictConfig) -> dict[str, type]:
    """The `Settings` of each step, by its name."""
    steps, remedy = composed.get("compression"), "compression=<option>; dlas-run --help lists them"
    require(isinstance(steps, DictConfig), "compression", "no option is chosen", remedy)
    classes = {}
    for name, step in steps.items():
        key = f"compression.{name}"
        remedy = f"settings of a step stand under its name: compression.<option>.{name}"
        require(isinstance(step, DictConfig), key, "is no compression", remedy)
        classes[str(name)] = _settings_class(step, key, Compression)
    return classes


def _settings_class(choice: DictConfig, group: str, base: type) -> type:
    """The `Settings` of the module that the group's YAML names."""
    path, key = OmegaConf.select(choice, "module", throw_on_missing=False), f"{group}.module"
    require(isinstance(path, str), key, f"'{path}' is no module", "the dotted path of a Python module")
    _require_module(key, path)
    try:
        settings = getattr(importlib.import_module(path), "Settings", None)
    except ImportError as error:
        raise UserError(
            f"'{path}' could not be imported: {error}", key=key, remedy="install what it needs"
        ) from None
    fits = isinstance(settings, type) and issubclass(settings, base)
    require(
        fits, key, f"'{path}' has no Settings", f"a frozen dataclass Settings(dlas.config.{base.__name__})"
    )
    return cast(type, settings)


def _require_module(key: str, module: str) -> None:
    found = bool(module) and module_exists(module)
    remedy = "a dotted path that Python can import; PYTHONPATH=<folder> adds modules of your own"
    require(found, key, f"there is no module '{module}'", remedy)


def _leaves(settings: Mapping[str, Any], path: str) -> list[tuple[str, str]]:
    leaves: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            leaves += _leaves(value, f"{path}{name}.")
        else:
            leaves.append((f"{path}{name}", "null" if value is None else str(value)))
    return leaves


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "none"
