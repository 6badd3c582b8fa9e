"""Spatial pack."""
