"""DLAS: declare a Deep Learning Acceleration Stack, compile it into a bundle, redeploy and re-time it."""

from dlas import current_folder

__version__ = "0.1.0"

current_folder.keep_out()
