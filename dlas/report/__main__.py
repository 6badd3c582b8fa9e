"""`python -m dlas.report`."""

import sys

from dlas.report.command import main

if __name__ == "__main__":
    sys.exit(main())
