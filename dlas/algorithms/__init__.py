"""Layer 4: convolution algorithms. Each family is a folder with a module for every variant (for dense
weights, sparse ones, int8), which its `variants` names (see `dlas.interfaces.variants`), with the functions

    unsupported(workload) -> str                    why this algorithm cannot serve the layer, or ""
    layouts(workload) -> (input, output)            the channel blocks that it reads and writes; 1 is NCHW
    pack_weight(workload, weight) -> (ndarray, …)   OIHW weights as the arrays that the kernel reads

and the kernel itself, written in one of two ways:

    compute(workload) -> [te.Tensor]                [input, *packed weight, *epilogue's arguments, output]
    schedule(sch, workload, target) -> None         the untuned schedule, applied in place

in TE, whose `compute` imports nothing but `tvm.te`, so that every TVM that knows TE can load it and Ansor can
search its schedules; or in TensorIR,

    kernel(workload, target) -> PrimFunc            of the same arguments, scheduled for the target

whose parameters can be tuned where there are two more:

    parameters(workload, target) -> (dataclass, …)  what may be chosen, first what `kernel` chooses; after it
                                                    the most promising; its fields are plain JSON values
    kernel_with(workload, target, one) -> PrimFunc  the kernel with one of these

An algorithm in TE that serves GPUs too has a module more, its variant `cuda`, with

    schedule(function, workload, target) -> PrimFunc    of what `compute` defines, bound to blocks and threads

`workload` has the blocks that `layouts` answered, except where it is asked of `unsupported` and `layouts`.

What families share is in `shared`: `dense`, `sparse`, `integer`, `gpu`. Here is what a layer is (`workload`),
how its activations lie (`layout`) and what follows its sums (`activation`).
"""
