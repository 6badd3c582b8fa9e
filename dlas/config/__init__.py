"""The declared stack as dataclasses: one choice per layer, and every rule about what is right.

Each group of `conf/` is one dataclass, in a file of its own. A dataset, a compression or a tuner has settings
of its own, so its YAML names a module whose `Settings` extends `Dataset`, `Compression` or `Tuner`. Every
mistake is a `UserError` that names the full key (`tuner.trials`) and what would be right. Nothing heavier
than NumPy is imported.
"""

from dlas.config.algo import Algo
from dlas.config.arguments import options
from dlas.config.compiler import Compiler
from dlas.config.compression import Compression
from dlas.config.dataset import Dataset
from dlas.config.declared import declared_target, declared_timing
from dlas.config.format import Format
from dlas.config.model import Model
from dlas.config.parsing import parse
from dlas.config.places import REPOSITORY, config_folder, default_artifacts, home
from dlas.config.recorded import flat, identity, to_yaml
from dlas.config.rules import check
from dlas.config.stack import GROUPS, Stack
from dlas.config.target import REACHES, Rpc, Target
from dlas.config.timing import Timing
from dlas.config.tracking import Tracking
from dlas.config.training import Train
from dlas.config.tuner import Tuner
from dlas.errors import require

__all__ = [
    "GROUPS",
    "REACHES",
    "REPOSITORY",
    "Algo",
    "Compiler",
    "Compression",
    "Dataset",
    "Format",
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
    "options",
    "parse",
    "require",
    "to_yaml",
]
