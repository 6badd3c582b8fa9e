"""Figures, drawn by Matplotlib: each a function from values to a `Drawing`."""

import logging

# In each process of a user without a home it would tell of the folder that it makes instead.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
