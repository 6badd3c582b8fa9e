"""Convolutions by oneDNN, Intel's library of kernels: what `compiler=mixed` has beside TVM's own."""
