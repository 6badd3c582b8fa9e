"""A user's own options beside the project's, as `--config-dir` takes them."""

from __future__ import annotations

from pathlib import Path


def own_model(folder: Path, name: str) -> tuple[str, ...]:
    """Arguments for a run of the model of that name in user_models.py, whose options go into `folder`."""
    (folder / "conf" / "model").mkdir(parents=True)
    declared = f"name: {name}\nfactory: user_models.{name}\n"
    (folder / "conf" / "model" / f"{name}.yaml").write_text(declared)
    return "--config-dir", str(folder / "conf"), f"model={name}"
