"""Layer 4: convolution algorithms. One module each, with the same four functions:

    unsupported(workload) -> str                the reason why this algorithm cannot serve the layer, or ""
    pack_weight(workload, weight) -> ndarray    OIHW weights in the layout that the kernel reads
    compute(workload) -> list[te.Tensor]        [input, packed weight, bias?, residual?, output]
    schedule(sch, workload, target) -> None     the untuned schedule, applied in place

`compute` imports nothing but `tvm.te`, so that every TVM that knows TE can load it.
"""
