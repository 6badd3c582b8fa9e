"""Commands that open a stranger's folder find no modules in it, though it may be the current one.

`python -m dlas.redeploy` has the current folder first on `sys.path`: a numpy.py that lies there would be run
as NumPy. This module is imported first of all, and imports only what Python has loaded by then. What Python
itself imports before (types.py, functools.py and a few more), and a folder called dlas, it can't keep out:
`python -P -m dlas.redeploy`, PYTHONSAFEPATH=1 and the installed command dlas-redeploy do.
"""

import os
import sys

MODULE_SOUGHT = ["-m"]
"""What `sys.argv` begins with while Python looks for the module of `-m`, and imports its packages."""


def keep_out() -> None:
    """Take the current folder from `sys.path` and from those of Python processes that are started, where a
    module of this package is being run by `-m`. Where PYTHONPATH names the folder it stays.

    A checkout's own folder stays too, since this package may be found nowhere else. Other programs that
    import this package keep their paths.
    """
    if sys.argv[:1] != MODULE_SOUGHT or sys.flags.safe_path:
        return
    current = sys.path.pop(0)
    os.environ["PYTHONSAFEPATH"] = "1"
    packages = os.path.realpath(f"{__file__}/../..")
    if os.path.realpath(current) == packages:
        sys.path.insert(0, packages)
        searched = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (packages, searched)))
