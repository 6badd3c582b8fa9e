"""Layer 6: what the code is made for, and how it is run, timed and judged there.

targets     what code is made for, where it runs on the machine, how that is reached; the machine as found
boards      machines that run libraries: TVM RPC and its server, an emulated board, locks between timings
sessions    what a fresh process on the board does: run a library, time kernels, compare candidates
timing      what asks for it: a library's outputs and latency, single kernels, candidates, libraries in turn
results     what one timing found: samples, statistics, comparisons, the outputs that a library has to give
no_torch    keeps torch out of processes that need none of it

A new board is a YAML in `conf/target`.
"""
