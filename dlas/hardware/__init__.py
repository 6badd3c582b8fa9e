"""Layer 6: what the code is made for, and how it is run, timed and judged there.

target.py           the target: what code is made for, where on the machine it runs, how that is reached
machine.py          the board as it was found: clock, temperature, load, versions
deployment.py       a library in a fresh process of its board: its outputs, its latency
session_process.py  that process on the machine at hand
session.py          what it does
remote.py           the same on a board behind TVM RPC
board_server.py     that board's side
virtual_board.py    a board that this machine emulates
energy.py           what the board's own meters say
lock.py             one timing at a time
measurement.py      what one timing found, and how it is written down
reference.py        the outputs that a library has to give
comparison.py       two measurements, and what can be said of their difference
self_test.py        how often a board tells a library from itself, and what it can resolve
statistics.py       medians, intervals and ratios of samples
"""
