"""One dataclass for each group of `conf/`."""
