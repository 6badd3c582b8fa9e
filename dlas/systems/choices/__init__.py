"""Which kernel serves each layer: the declared one, the fastest, the cheapest mix; and by which schedule."""
