"""Compilers: they turn a program, or a whole network, into a library that a board can load.

What runs the library on its board is the module of the same name in `dlas/hardware/sessions/runners/`.
"""
