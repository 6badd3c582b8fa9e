"""What the choices of a stack do to its latency, and to each other."""
