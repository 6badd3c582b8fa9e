"""Layer 4: convolution algorithms. Each family is a folder with a module for every variant (for dense
weights, sparse ones, int8), which its `variants` names (see `dlas.interfaces.variants`). What such a module
offers is in `dlas.interfaces.algorithm`: kernels are written in TE or in TensorIR.

What a layer is, is in `dlas.interfaces.workload`. What families share is in `shared`: `dense`, `sparse`,
`integer`, `gpu`; how activations lie is in `layout`, and what follows a layer's sums in `activation`.
"""
