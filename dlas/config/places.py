"""Places of the options and of the artifacts."""

from __future__ import annotations

import secrets
from pathlib import Path

from omegaconf import OmegaConf

REPOSITORY = Path(__file__).resolve().parents[2]


def config_folder() -> Path:
    """The folder of the YAML files: inside the package once installed, beside it in a checkout."""
    inside = Path(__file__).resolve().parents[1] / "conf"
    return inside if (inside / "config.yaml").exists() else REPOSITORY / "conf"


def home() -> Path:
    """The folder of `artifacts/`: the checkout, or the working directory of an installed package."""
    return REPOSITORY if config_folder().parent == REPOSITORY else Path.cwd()


def default_artifacts() -> Path:
    """Default of `artifacts`."""
    return home() / "artifacts"


OmegaConf.register_new_resolver("dlas.home", lambda: str(home()), replace=True)
OmegaConf.register_new_resolver("dlas.token", lambda: secrets.token_hex(3), replace=True, use_cache=True)
