"""The declared stack as dataclasses: one choice per layer, and every rule about what is right.

Each group of `conf/` is one dataclass, in a file of its own. A dataset, a compression or a tuner has settings
of its own, so its YAML names a module whose `Settings` extends `Dataset`, `Compression` or `Tuner`. Every
mistake is a `UserError` that names the full key (`tuner.trials`) and what would be right. Nothing heavier
than NumPy is imported.
"""

from dlas.config.arguments import options
from dlas.config.layers.algo import Algo
from dlas.config.layers.compiler import Compiler
from dlas.config.layers.compression import Compression
from dlas.config.layers.dataset import Dataset
from dlas.config.layers.format import Format
from dlas.config.layers.model import Model
from dlas.config.layers.target import REACHES, Rpc, Target
from dlas.config.layers.timing import Timing
from dlas.config.layers.tracking import Tracking
from dlas.config.layers.tuner import Tuner
from dlas.config.parsing import parse
from dlas.config.places import REPOSITORY, config_folder, default_artifacts, home
from dlas.config.recorded import flat, identity, to_yaml
from dlas.config.rules import check
from dlas.config.single_layers import LayerArguments, declared_target, declared_timing, layer_arguments
from dlas.config.stack import GROUPS, OF_KERNELS, UNSTEADY, Stack
from dlas.errors import require
from dlas.interfaces.training import Train

__all__ = [
    "GROUPS",
    "OF_KERNELS",
    "REACHES",
    "REPOSITORY",
    "UNSTEADY",
    "Algo",
    "Compiler",
    "Compression",
    "Dataset",
    "Format",
    "LayerArguments",
    "Model",
    "Rpc",
    "Stack",
    "Target",
    "Timing",
    "Tracking",
    "Train",
    "Tuner",
    "check",
    "config_folder",
    "declared_target",
    "declared_timing",
    "default_artifacts",
    "flat",
    "home",
    "identity",
    "layer_arguments",
    "options",
    "parse",
    "require",
    "to_yaml",
]
