"""Boards: servers behind RPC, the virtual board, and locks that keep timings apart."""
