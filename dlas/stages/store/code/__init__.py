"""The code that does a piece of work: the modules that it imports, theirs, and the packages that these call.

Imports are read from the source, wherever in it they stand; nothing is imported for it. A module counts by
its syntax tree, less what decides nothing: comments, docstrings, blank lines, what stands under
`if TYPE_CHECKING`, the number of its version. Modules in site-packages count by their distribution's version,
the standard library by that of Python, everything else (this package, modules of a user's own) by its files.

A user's module that imports what is not there is refused, unless the import stands under a condition or where
ImportError is caught: then that it is missing counts. What it imports by a name that is no text in its source
cannot be followed: a warning tells of it.

Modules of this package define things and do nothing else when they are imported. So one of its `__init__`
that only re-exports counts through the names that are taken from it: who takes `config.Train` depends on the
module that defines it, and not on every other that stands there.

`closure.code_of` gives it. `kept` has what earlier processes read of the same files; `first_read` and
`remembering` notice where code changes under a run.
"""
