"""Keep modules that lie in the current folder, which may be a stranger's, out of commands.

`python -m dlas.redeploy` has the current folder first on `sys.path`: a numpy.py that lies there would be run
as NumPy. This module is imported first of all, and imports only what Python has loaded by then. What Python
itself imports before (types.py, functools.py and a few more), and a folder called dlas, it can't keep out:
`python -P -m dlas.redeploy`, PYTHONSAFEPATH=1 and the installed command dlas-redeploy do.
"""

import os
import sys

MODULE_SOUGHT = "-m"
"""First element of `sys.argv` while Python looks for the module of `-m`, and imports its packages."""

INSTALLED = "dlas-"
"""Prefix of the installed commands' files, as pyproject.toml names them."""

PATH = "PYTHONPATH"


def keep_out() -> None:
    """Take the current folder from `sys.path` and from those of Python processes that are started, where a
    command of this package is being run. Where PYTHONPATH names the folder it stays; an empty element, by
    which Python means the current folder, names none.

    A checkout's own folder stays too, since this package may be found nowhere else. Other programs that
    import this package keep their paths.
    """
    command = sys.argv[0] if sys.argv else ""
    if command != MODULE_SOUGHT and not command.rpartition(os.sep)[2].startswith(INSTALLED):
        return
    searched, current = os.environ.get(PATH), _current()
    added = command == MODULE_SOUGHT and not sys.flags.safe_path and sys.path[0] == current
    os.environ["PYTHONSAFEPATH"] = "1"
    if added:
        del sys.path[0]
    if searched:
        named = python_path(after=searched)
        if named != searched and current not in map(os.path.realpath, named.split(os.pathsep)):
            sys.path[:] = [folder for folder in sys.path if folder != current]
        os.environ[PATH] = named
    packages = os.path.realpath(f"{__file__}/../..")
    if current == packages and packages not in sys.path:
        sys.path.insert(0, packages)
        os.environ[PATH] = python_path(packages, after=searched)


def python_path(*folders: str, after: str | None) -> str:
    """A PYTHONPATH of these folders and then of those in another one, without the empty elements of that."""
    return os.pathsep.join([*folders, *filter(None, (after or "").split(os.pathsep))])


def _current() -> str:
    """The current folder; "" where it was removed: `sys.path` has no such entry then."""
    try:
        return os.getcwd()  # noqa: PTH109  # pathlib is looked for in that very folder
    except OSError:
        return ""
