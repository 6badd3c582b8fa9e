"""Interfaces that the implementations of layers fulfil: read first. One noun a file. Beside them lie the
nouns that they speak of: a workload, a program, images, a target and its parts, a tuning task.

Each interface is a Protocol, and mostly a module fulfils it: its functions are the Protocol's methods. They
are called with their parameters by position, those behind `*` by name, so other names for the parameters do
no harm. What a user's own module lacks is told while the config is checked (`dlas.plugins.contracts`);
`dlas.testing` tries what it does.
"""
