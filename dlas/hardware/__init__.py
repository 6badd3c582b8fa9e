"""Layer 6: what the code is made for, and how it is run, timed and judged there.

target.py        what a declared target means: triple, CPU, cores, vector registers
machine.py       the board as it was found: clock, temperature, load, versions
deployment.py    a library in a fresh process: its outputs, its latency
session.py       that process
measurement.py   what one timing found, and how it is written down
reference.py     the outputs that a library has to give
statistics.py    medians, intervals and ratios of samples
"""
