"""Arrays in files that somebody else may have written: the size in a header is compared with the file's
before anything so large is made."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path

import numpy as np

from dlas.errors import UserError
from dlas.files.plain_files import open_plain
from dlas.printable import printable

NUMBERS = "iuf"
"""NumPy's kinds of arrays that are read: integers and floating point. A pickle would be another."""

MAX_BYTES = 1 << 30
"""Largest size of an .npy file: sixteen images of 1024x1024 have 200 MB."""


def read_array(path: Path) -> np.ndarray:
    """The array of numbers in an .npy file; UserError, naming the file, for anything else."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise UserError(f"is too large: more than {MAX_BYTES} bytes", key=printable(path))
        try:
            with warnings.catch_warnings(action="ignore"):
                version = np.lib.format.read_magic(file)
                header = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = header(file)
            expected = file.tell() + math.prod(shape) * dtype.itemsize
            if dtype.kind not in NUMBERS:
                raise ValueError(f"it holds {dtype}, and no numbers")
            if min(shape, default=0) < 0 or expected != size:
                raise ValueError(f"it has {size} bytes, and its header says {expected}")
            file.seek(0)
            array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        except Exception as error:  # NumPy evaluates the header, and has no one type for what may go wrong
            raise UserError(f"can't be read as an array: {printable(error)}", key=printable(path)) from None
    return array
