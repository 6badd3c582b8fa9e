"""Compilers: from a program to a library that a board can load."""
