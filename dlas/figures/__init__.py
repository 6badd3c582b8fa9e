"""Figures of a report, drawn by Matplotlib: each a function from values to a `Drawing`."""
