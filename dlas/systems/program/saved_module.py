"""A program in TVM's own JSON, checked before TVM reads it.

TVM reads it by recursion, and ends the process where its parts are within each other too deeply. It is a list
of nodes, `{"type": ..., "data": ...}`; the data of most are the numbers of other nodes, in a list or by the
names of fields. TVM writes a node after all that it refers to, and reads them in any order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlas.errors import UserError
from dlas.files import documents
from dlas.files.documents import Document
from dlas.printable import printable

if TYPE_CHECKING:
    import tvm

DEEPEST = 300
"""Longest chain of nodes that refer to each other; networks of 160 layers have 36."""

DOCUMENT = Document("program in TVM's JSON", largest_bytes=1 << 28, finite=False)
"""The document of a program; networks of 160 layers have 7 MB."""

NUMBERS = frozenset({"ffi.Shape", "Device"})
"""Types of nodes whose data are a list of mere numbers."""

NUMBER_FIELDS = frozenset(
    {
        ("relax.ShapeType", "ndim"),
        ("relax.TensorType", "ndim"),
        ("tirx.BufferType", "data_alignment"),
        ("tirx.BufferType", "offset_factor"),
        ("tirx.For", "kind"),
        ("tirx.IterVar", "iter_type"),
    }
)
"""Fields that TVM declares as integers, which refer to no node."""


def load(path: Path) -> tvm.IRModule:
    """The module in the file. UserError for a file that holds none, or is too large, and where a node refers
    to a later one or chains of nodes are too long."""
    values = documents.read(DOCUMENT, path)
    if problem := _problem(values.get("nodes")):
        raise UserError(f"is no {DOCUMENT.name}: {problem}", key=printable(path))
    import tvm

    try:
        found = tvm.ir.load_json(json.dumps(values))
    except Exception as error:  # TVM's have no class of their own
        said = str(error).strip().partition("\n")[0]
        raise UserError(f"is no {DOCUMENT.name}: {printable(said)}", key=printable(path)) from error
    if not isinstance(found, tvm.IRModule):
        raise UserError(f"is no {DOCUMENT.name}: it is a {type(found).__name__}", key=printable(path))
    return found


def _problem(nodes: Any) -> str:
    """The reason why TVM could not read these nodes safely; "" where there is none."""
    if not isinstance(nodes, list):
        return "it has no list of nodes"
    depths: list[int] = []
    for number, node in enumerate(nodes):
        if not isinstance(node, dict) or not isinstance(node.get("type"), str):
            return f"node {number} has no type"
        fields = _fields(node.get("data"))
        if any(isinstance(value, list | dict) for value in fields.values()):
            return f"node {number} has more than numbers and texts"
        within = [value for name, value in fields.items() if _refers(node["type"], name, value)]
        if any(other >= number for other in within):
            return f"node {number} refers to a later one"
        depths.append(1 + max((depths[other] for other in within), default=0))
        if depths[-1] > DEEPEST:
            return f"more than {DEEPEST} nodes are within each other"
    return ""


def _fields(data: Any) -> dict[str | int, Any]:
    """The values in the data of a node, by their names or their places in its list."""
    if isinstance(data, list):
        return dict(enumerate(data))
    return data if isinstance(data, dict) else {}


def _refers(kind: str, name: str | int, value: Any) -> bool:
    """Whether a value is the number of a node, or may be. TVM refuses negative ones, and takes false and
    true for 0 and 1."""
    return isinstance(value, int) and value >= 0 and kind not in NUMBERS and (kind, name) not in NUMBER_FIELDS
