"""Bundles that name an algorithm which is not dlas's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from dlas.bundle import Bundle, seal

BUNDLE = Path(__file__).parent / "fixtures" / "schema1" / "ansor"


def bundle_naming(folder: Path, algorithm: str, tuner: str = "none") -> Bundle:
    """One whose layers are said to be by `algorithm`, untuned."""
    shutil.copytree(BUNDLE, folder)
    layers, choices = folder / "model" / "layers.json", folder / "tuning" / "choices.json"
    kernel = algorithm.rpartition(".")[2]
    layers.write_text(layers.read_text().replace('"dlas.algorithms.direct"', json.dumps(algorithm)))
    written = folder / "model" / "program.json"
    written.write_text(written.read_text().replace("direct_conv2d", f"{kernel}_conv2d"))
    chosen = json.loads(choices.read_text().replace("direct_conv2d", f"{kernel}_conv2d"))
    untuned = [one | {"tuned": False} for one in chosen["kernels"]]
    choices.write_text(json.dumps(chosen | {"tuner": tuner, "kernels": untuned}))
    return seal(folder, point="", stages={})
