"""Implementations by name, of the package and of users, and where Python finds them."""
