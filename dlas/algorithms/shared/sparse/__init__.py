"""Parts that the kernels for sparse weights share: formats, views of the input, rows times runs of pixels."""
