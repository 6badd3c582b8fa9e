"""Compilers: they turn a program into a library that a board can load."""
