"""Stages that are the same for every network, and tell of the machine."""
