"""Whether a file or a folder is where a person says. Python's own questions raise an error where a folder
above it may not be entered by this user, or a name is too long."""

from __future__ import annotations

from pathlib import Path


def is_folder(path: Path) -> bool:
    """Whether this user finds a folder there."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether this user finds a file there."""
    try:
        return path.is_file()
    except OSError:
        return False
