"""What a timing found: samples, statistics, comparisons, reference outputs."""
