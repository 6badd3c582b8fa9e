"""Code targets, placements and ways to a board, and the machine as it is found."""
