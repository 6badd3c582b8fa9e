"""ExecuTorch, PyTorch's runtime for small devices, with the kernels of XNNPACK."""
