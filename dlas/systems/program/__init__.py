"""What is compiled: a lowered program, its kernels and the numbers that they run on."""
