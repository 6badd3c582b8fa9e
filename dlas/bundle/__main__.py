"""The command `python -m dlas.bundle`."""

import sys

from dlas.bundle.command import main

if __name__ == "__main__":
    sys.exit(main())
