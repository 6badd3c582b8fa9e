"""Tuners: one module each, light to import, with the same three names:

    Settings                                    a dataclass under dlas.config.Tuner: what its YAML may say
    tune(tasks, target, settings, log, store)   -> Tuning: searches schedules; `log` grows as it goes
    best_schedules(log, tasks, target)          -> Schedules: what `log` holds for each task, as PrimFuncs

`store` (`common.tuning_store`) keeps what was measured for all networks; `log` is what the bundle gets of it.
`best_schedules` needs nothing but its arguments: a bundle's log gives the same schedules again.
`search` is what tuners that measure candidates have in common; `relatives` tells whose schedules a layer
without records may start from. `parameters` is no tuner to choose: it serves the kernels that are written in
TensorIR, beside every tuner that searches (see dlas.systems.tuners.tuning).
"""
