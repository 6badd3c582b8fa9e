"""Pickled arrays from the internet, read so that they cannot run code."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
from numpy._core import multiarray


def _encode(text: str, encoding: str) -> bytes:
    """Stand-in for `_codecs.encode`, by which pickles of protocol 2 from Python 3 spell bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text encoded as {encoding!r}")
    return text.encode("latin1")


HARMLESS = {
    ("numpy.core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
}
"""Functions and types that arrays are rebuilt with, under the names that Python 2 and 3 and old and new numpy
wrote."""


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return HARMLESS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it calls for {module}.{name}, which is not allowed") from None


def read_pickle(content: bytes) -> Any:
    """The pickled dicts, lists, numbers, bytes and numpy arrays; pickle.UnpicklingError for anything else."""
    try:
        return _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except (EOFError, AttributeError, ImportError, IndexError, KeyError, TypeError, ValueError) as error:
        raise pickle.UnpicklingError(str(error) or type(error).__name__) from error
