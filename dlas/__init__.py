"""DLAS: declare a Deep Learning Acceleration Stack, compile it into a bundle, redeploy and re-time it."""

__version__ = "0.1.0"
