"""Layer 5: systems. From a network's program to one library: lowering, tuning, building."""
