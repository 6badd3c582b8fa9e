"""Tuners: one module each, light to import, with the same three names:

    Settings                             a dataclass under dlas.config.Tuner: what its YAML may say
    tune(tasks, target, settings, log)   -> Tuning: searches schedules; `log` grows as it goes and is resumed
    best_schedules(log, tasks, target)   -> Schedules: what `log` holds for each task, as PrimFuncs

`best_schedules` needs nothing but its arguments: a bundle's log gives the same schedules again.
"""
