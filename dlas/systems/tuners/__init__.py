"""Layer 5: tuners. A module each, or `tuner` in a folder: see `dlas.interfaces.tuner`.

`common` is what they share; `common.search` is for those that measure candidates, and `common.relatives`
tells whose schedules a layer without records may start from. `kernel_parameters` is no tuner to choose: it
serves the kernels that are written in TensorIR, beside every tuner that searches (see
dlas.systems.tuners.tuning).
"""
