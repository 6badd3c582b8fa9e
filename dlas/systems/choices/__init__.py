"""Choice of the kernel for each layer (the declared one, the fastest, the cheapest mix) and
of its schedule."""
