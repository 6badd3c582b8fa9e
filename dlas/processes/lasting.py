"""Imports and tables that stay until their process ends: no look for garbage among them is worth its time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting() -> Iterator[None]:
    """Have what is made inside stay: no garbage is looked for among it, here or in forked processes."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
