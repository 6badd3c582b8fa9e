"""The input of a compiler: a lowered program, its kernels and the numbers that they run on."""
