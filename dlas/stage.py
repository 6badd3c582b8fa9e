"""A content-addressed store of stage results: nothing is computed twice, a crash leaves no halves."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock

log = logging.getLogger(__name__)


def stage_key(inputs: Mapping[str, Any]) -> str:
    """The sha256 (hex) of the inputs as canonical JSON; inputs must be plain JSON values."""
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class StageStore:
    """Folders `<root>/<stage>/<key>`, each complete: it was made elsewhere and renamed into place."""

    root: Path

    def obtain(self, stage: str, inputs: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """The folder that `make` fills for these inputs, made now unless an earlier run finished it.

        `make(folder)` may find what an interrupted attempt left in `folder`, to go on from or to write over.
        Two processes asking for the same result make it once: the second waits.
        """
        key = stage_key(inputs)
        folder = self.root / stage / key[:24]
        if folder.exists():
            log.info("%s: finished earlier", stage)
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if folder.exists():
                return folder
            unfinished = folder.with_suffix(".unfinished")
            unfinished.mkdir(exist_ok=True)
            log.info("%s: started", stage)
            make(unfinished)
            (unfinished / "inputs.json").write_text(json.dumps(inputs, sort_keys=True, indent=2))
            unfinished.rename(folder)
        return folder


def source_digest(*modules: str) -> str:
    """The sha256 (hex) of the source of modules and packages, by dotted name: changed code is new input."""
    digest = hashlib.sha256()
    for module in sorted(modules):
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
