"""The store in a sqlite database of one's own: where its files lie, and the version of its tables."""
