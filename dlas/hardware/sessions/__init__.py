"""What runs on a board in a fresh process: libraries, kernels, candidates, races."""
