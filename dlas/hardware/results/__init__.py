"""Results of a timing: samples, statistics, comparisons, reference outputs."""
