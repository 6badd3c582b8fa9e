"""The search of tuners that measure candidates: `searching`, from a `state` to the next."""
