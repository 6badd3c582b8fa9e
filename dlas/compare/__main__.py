"""`python -m dlas.compare`."""

import sys

from dlas.compare.command import main

if __name__ == "__main__":
    sys.exit(main())
