"""The statistics of the analysis: small pure functions over arrays, each with its source."""
