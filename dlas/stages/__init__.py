"""The steps on the way to a point, each kept under the hash of what goes into it.

A stage is an object (`stage.Stage`): its fields are all that its work may use, and the key of its result is
made from them, from the code that does the work and from the versions of the packages that it calls (`key`,
`code`). `store` keeps the results. One stage a file:

    checks.images      a set of which every image can be read
    checks.rehearsal   the network and its way to kernels, tried untrained
    checks.conversion  the same for a compiler that has kernels of its own
    training           the dense network, trained
    given_weights      the dense network as its given weights say
    compression        one step of making it cheaper
    program.lowering   the network as kernels of one algorithm and format
    program.fastest    the same, each layer by the fastest of several, as measured
    program.batches    the same for larger batches
    kernels.tuning     the search for schedules
    kernels.choosing   for each kernel the tuned schedule or its algorithm's own
    kernels.untuned    for each kernel its algorithm's own
    libraries.building    the library of these kernels
    libraries.conversion  the network's files for a compiler that has kernels of its own
    machine.yardstick  the libraries of the networks that are always the same
    machine.roofs      the measured peak and bandwidth of the machine
    deployment         the library run on its board and checked

`python -m dlas.stages` tells what is stored and why, and clears it.
"""
