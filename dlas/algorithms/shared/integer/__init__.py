"""Parts that integer convolutions share: dot products of each CPU, words of four channels, requantization."""
