"""Work in a fresh process on a board: running libraries, kernels, candidates and races."""
