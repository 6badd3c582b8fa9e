"""The user of this process, who may have neither a name nor a home, as in many a container."""

from __future__ import annotations

import getpass
import os
from collections.abc import MutableMapping
from pathlib import Path


def stand_in(environment: MutableMapping[str, str] = os.environ) -> None:
    """Give a user without a name the number as one, and one without a home a place that no file can be in.

    MLflow asks for the name of who makes a run, and TVM, as it is imported, for the home; either fails where
    there is none.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        environment["LOGNAME"] = str(os.getuid())
    try:
        Path.home()
    except RuntimeError:
        environment["HOME"] = os.devnull
