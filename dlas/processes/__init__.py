"""Processes that are forked by one that is kept, with its imports behind it. Needs nothing but Python's own
modules: the worker in an environment of its own uses it too."""
