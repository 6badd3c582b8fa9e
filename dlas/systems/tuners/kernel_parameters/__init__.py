"""The search over the parameters of kernels that are written in TensorIR."""
