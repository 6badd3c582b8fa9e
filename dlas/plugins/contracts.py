"""Contracts of implementations: what one lacks of its interface (`dlas.interfaces`) is told by name, before
any work."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from inspect import Parameter, Signature

from dlas.errors import require
from dlas.interfaces.algorithm import Algorithm, GPUSchedule, TEAlgorithm, TensorIRAlgorithm, TunableAlgorithm
from dlas.interfaces.network import NetworkFactory
from dlas.plugins import sources
from dlas.plugins.sources import Definition

Find = Callable[[str], Definition]
"""Look-up from a name of the implementation to its definition."""


def of_module(module: object, interface: type) -> list[str]:
    """Sentences on what the imported module lacks of the interface; none where it lacks nothing."""
    return _problems(lambda name: _imported(module, name), interface)


def of_algorithm(module: str) -> list[str]:
    """Sentences on what the module (a dotted path) lacks of an algorithm, by its source."""

    def find(name: str) -> Definition:
        return sources.definition(module, name)

    def offers(*names: str) -> bool:
        return any(find(name).kind in ("function", "value") for name in names)

    in_te, tunable = offers("compute", "schedule"), offers("parameters", "kernel_with")
    if in_te and (tunable or offers("kernel")):
        return ["it has both compute and schedule (TE) and a kernel (TensorIR): one of the two"]
    if in_te:
        return _problems(find, TEAlgorithm)
    if tunable or offers("kernel"):
        return _problems(find, TunableAlgorithm if tunable else TensorIRAlgorithm)
    neither = ["it has neither compute and schedule (TE) nor kernel (TensorIR)"]
    hidden = any(find(name).kind == "unknown" for name in ("compute", "kernel"))
    return [*_problems(find, Algorithm), *([] if hidden else neither)]


def of_gpu_schedule(module: str) -> list[str]:
    """Sentences on what the module (a dotted path) lacks of a schedule for GPUs, by its source."""
    return _problems(lambda name: sources.definition(module, name), GPUSchedule)


def of_factory(factory: str) -> list[str]:
    """Sentences on what the function (a dotted path) lacks of a network factory, by the source of its
    module."""
    module, _, name = factory.rpartition(".")
    return _compared(name, sources.definition(module, name), signature_of(NetworkFactory, "__call__"))


def require_none(problems: Iterable[str], key: str, name: str, kind: str, interface: type) -> None:
    """Raises `UserError` (`key`) with all the problems of the `kind` of that name, where there are any."""
    told = "; ".join(problems)
    offered = [*inspect.get_annotations(interface), *methods(interface)]
    where = f"{interface.__module__}.{interface.__name__}"
    remedy = f"{', '.join(offered)}: {where} says what each is" if offered else f"{where} says what it is"
    require(not told, key, f"'{name}' is no {kind}: {told}", remedy)


def signature_of(interface: type, name: str) -> Signature:
    """Signature of the interface's method, without `self`."""
    return _without_first(inspect.signature(getattr(interface, name)))


def methods(interface: type) -> list[str]:
    """The names of the interface's methods."""
    named = inspect.getmembers(interface, inspect.isfunction)
    return [name for name, _ in named if not name.startswith("_")]


def _problems(find: Find, interface: type) -> list[str]:
    found = [_compared(name, find(name), signature_of(interface, name)) for name in methods(interface)]
    return [problem for problems in found for problem in problems]


def _compared(name: str, found: Definition, wanted: Signature) -> list[str]:
    if found.kind == "missing":
        return [f"it lacks {name}{_text(wanted)}"]
    if found.kind == "value":
        return [f"{name} cannot be called, and {name}{_text(wanted)} is wanted"]
    if found.signature is not None and not _fits(found.signature, wanted):
        return [f"{name}{_text(found.signature)} has to be {name}{_text(wanted)}"]
    return []


def _fits(found: Signature, wanted: Signature) -> bool:
    """Whether a function of the signature `found` can be called as `wanted` says, its parameters in the same
    order."""
    positional = [each.name for each in wanted.parameters.values() if each.kind != Parameter.KEYWORD_ONLY]
    named = [each.name for each in wanted.parameters.values() if each.kind == Parameter.KEYWORD_ONLY]
    try:
        found.bind(*positional, **dict.fromkeys(named))
    except TypeError:
        return False
    order = [positional.index(name) for name in found.parameters if name in positional]
    return order == sorted(order)


def _imported(module: object, name: str) -> Definition:
    found = getattr(module, name, sources.MISSING)
    return sources.MISSING if found is sources.MISSING else _described(found)


def _described(found: object) -> Definition:
    if not callable(found):
        return sources.VALUE
    try:
        return Definition("function", inspect.signature(found))
    except (TypeError, ValueError):
        return sources.UNKNOWN


def _without_first(signature: Signature) -> Signature:
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _text(signature: Signature) -> str:
    """The parameters by name alone."""
    plain = [
        each.replace(
            annotation=Parameter.empty,
            default=Parameter.empty,
            kind=Parameter.POSITIONAL_OR_KEYWORD if each.kind == Parameter.POSITIONAL_ONLY else each.kind,
        )
        for each in signature.parameters.values()
    ]
    return str(Signature(plain))
