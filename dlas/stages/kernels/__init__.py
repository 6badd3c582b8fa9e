"""The stages that give every kernel its schedule: the search, tuned or untuned."""
