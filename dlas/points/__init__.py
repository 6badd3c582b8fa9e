"""The points of a command: the check before the first one, what finds an earlier run, and their processes."""
