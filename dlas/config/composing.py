"""Hydra's side of declaring: a sweep's points before it starts, and errors as a person reads them."""

from __future__ import annotations

import itertools
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from dlas import config
from dlas.config import unheard
from dlas.config.loading import point_loader
from dlas.config.merging import explained, nearest
from dlas.errors import UserError, at_point, require

BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
BASIC_LAUNCHER = "basic"
CHECKED_SWEEPER = "hydra_plugins.dlas_checked.CheckedSweeper"
SLURM_LAUNCHER, SLURM_PROGRAMS = "submitit_slurm", ("sbatch", "srun", "squeue", "sacct", "scancel")
BUDGETED_SWEEPER = "hydra_plugins.dlas_budgeted.BudgetedSweeper"
UNTUNED = "tuner=none"

MANY = 50
"""Points that are composed and checked within seconds, whatever their order."""

EXTRAS = {
    "hydra/launcher": {
        "joblib": "joblib",
        "submitit_local": "submitit",
        SLURM_LAUNCHER: "submitit",
        "ray": "ray",
    },
    "hydra/sweeper": {"optuna": "optuna"},
}
"""Options of Hydra's own that come with a package, by the extra of ours that has it."""

AMBIGUOUS = re.compile(r"Ambiguous value for argument '(?P<key>[^=]+)=(?P<value>[^']*)'")
NEEDS_MULTIRUN = re.compile(r"Sweep parameters '(?P<key>[^=]+)=(?P<value>[^']*)' requires --multirun")
GROUP_VALUE = "Config group override must be"


@dataclass(frozen=True)
class Point:
    """A point of a sweep that is not made yet."""

    overrides: tuple[str, ...]
    """Those of the stack, as they were typed."""
    stack: config.Stack


def stack_of(composed: DictConfig) -> config.Stack:
    """The stack in a config that Hydra composed, less Hydra's own part."""
    _require_steps_once(overridden(composed))
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    return config.parse(own)


def _require_steps_once(overrides: Sequence[str]) -> None:
    """UserError for a step that is given twice: steps of compression stand under their names, so that it
    would be done once, in silence."""
    for override in overrides:
        key, _, value = override.partition("=")
        steps = [name.strip() for name in value.strip("[]").split(",")]
        repeated = sorted({name for name in steps if steps.count(name) > 1})
        if key == "compression" and repeated:
            raise UserError(f"{', '.join(repeated)} stands there twice", key=key, remedy="each step once")


def stacks_of(points: Sequence[Point]) -> list[config.Stack]:
    """The stacks of a sweep's points; UserError for the first that is the same as one before, unless the two
    differ in what says nothing to their compiler."""
    seen: dict[str, int] = {}
    for place, point in enumerate(points):
        first = seen.setdefault(repr(point.stack), place)
        if first != place and not unheard.are_twins(points[first].overrides, point.overrides, point.stack):
            with at_point(place):
                same = f"points {first + 1} and {place + 1} are the same"
                raise UserError(same, key=_swept_twice(points[first], point), remedy="each value once")
    return [point.stack for point in points]


def _swept_twice(first: Point, second: Point) -> str:
    """What the two points were told alike, less the places that all points share."""
    alike = [one for one in first.overrides if one in second.overrides]
    return " ".join(one for one in alike if not one.startswith(("artifacts=", "tracking.")))


@contextmanager
def naming(points: Sequence[Point]) -> Iterator[None]:
    """Have a UserError that is about one point of several say which, by the overrides that not all have."""
    with _naming([point.overrides for point in points]):
        yield


@contextmanager
def _naming(combinations: Sequence[Sequence[str]]) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        if error.point is None or len(combinations) < 2:
            raise
        name = _differing(combinations)[error.point]
        which = f"[point {error.point + 1} of {len(combinations)}{f': {name}' if name else ''}]"
        raise UserError(error.problem, key=error.key, remedy=f"{error.remedy}  {which}".strip()) from error


def names(points: Sequence[Point]) -> list[str]:
    """The points by the overrides that not all have."""
    return _differing([point.overrides for point in points])


def _differing(combinations: Sequence[Sequence[str]]) -> list[str]:
    common = set(combinations[0]).intersection(*combinations[1:])
    return [" ".join(one for one in combination if one not in common) for combination in combinations]


def _telling(points: Sequence[Sequence[str]]) -> list[int]:
    """Places of the points that are looked at before all others: those with a value that none before them
    has, and in a large sweep those with two values that none before them has together, as there are rules
    across layers. They are few, where there are many points."""
    places = _with_new(points, 1)
    return list(dict.fromkeys([*places, *_with_new(points, 2)])) if len(points) > MANY else places


def _with_new(points: Sequence[Sequence[str]], together: int) -> list[int]:
    """Places of the points that have so many overrides together which none before them has."""
    seen: set[tuple[str, ...]] = set()
    places = []
    for place, overrides in enumerate(points):
        found = set(itertools.combinations(overrides, together))
        if not seen.issuperset(found):
            places.append(place)
        seen |= found
    return places


def tells_points(master: DictConfig) -> bool:
    """Whether it is known before the first point which ones are made: Hydra's basic sweeper makes all."""
    return bool(master.hydra.sweeper.get("_target_") == BASIC_SWEEPER)


def note_checked(master: DictConfig) -> None:
    """Have Hydra's basic sweeper, which would compose every point before the first one starts, take them as
    they were composed and checked."""
    if tells_points(master):
        master.hydra.sweeper["_target_"] = CHECKED_SWEEPER


def searches(master: DictConfig) -> bool:
    """Whether the sweeper finds its points on the way, by what it is told of those before."""
    return master.hydra.sweeper.get("_target_") not in (BASIC_SWEEPER, BUDGETED_SWEEPER)


def launcher(master: DictConfig) -> str:
    """The chosen option of `hydra/launcher`."""
    return str(master.hydra.runtime.choices["hydra/launcher"])


def require_launcher(master: DictConfig) -> None:
    """UserError where the launcher gives its jobs to a cluster that this machine is no part of."""
    lacking = launcher(master) == SLURM_LAUNCHER and not all(map(shutil.which, SLURM_PROGRAMS))
    remedy = "start it on a machine of the cluster; hydra/launcher=submitit_local has its jobs here"
    require(
        not lacking, "hydra/launcher", f"{SLURM_LAUNCHER} takes SLURM's {', '.join(SLURM_PROGRAMS)}", remedy
    )


def combinations(master: DictConfig) -> list[list[str]]:
    """The overrides of each point of the grid that was typed, and declared as `hydra.sweeper.params`."""
    loader = point_loader()
    arguments = [f"{key}={value}" for key, value in (master.hydra.sweeper.get("params") or {}).items()]
    arguments += overridden(master)
    with _refusing():
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
        (found,) = BasicSweeper.split_arguments(overrides, None)
    return [list(combination) for combination in found]


def untuned(combination: Sequence[str]) -> list[str]:
    """The overrides of the same point, made without a tuner."""
    return [one for one in combination if unheard.key(one).partition(".")[0] != "tuner"] + [UNTUNED]


def screened(tuned: Sequence[Sequence[str]]) -> list[list[str]]:
    """The overrides of the points by which a budgeted sweep chooses among the tuned ones, each once."""
    return [list(one) for one in dict.fromkeys(tuple(untuned(combination)) for combination in tuned)]


def do_nothing() -> None:
    """Do nothing, where nobody waits for the first point."""


def sweep_points(master: DictConfig, on_right: Callable[[], object] = do_nothing) -> list[Point]:
    """Every point that the sweep may make, composed as Hydra's basic sweeper will compose it, and checked.

    A sweeper that searches finds its points on the way; then the one that all of them start from is returned.
    Raises `UserError`, naming the point, for the first that does not compose or is wrong. Points with each
    value, and with each two, are composed and checked before all others: a mistake in a large sweep is told
    within seconds. `on_right` is called for each of these that is right.
    """
    if tells_points(master):
        return _composed(master, combinations(master), on_right)
    if master.hydra.sweeper.get("_target_") == BUDGETED_SWEEPER:
        remedy = "hydra.sweeper.margin=1 or more"
        require(master.hydra.sweeper.margin >= 1, "hydra.sweeper.margin", "is less than 1", remedy)
        tuned = combinations(master)
        points = _composed(master, tuned, on_right)
        for place, point in enumerate(points):
            with at_point(place):
                problem = "is none, so that there is nothing to tune near the front"
                tuned_by_one = point.stack.tuner.name != "none" and UNTUNED not in point.overrides
                require(tuned_by_one, "tuner", problem, "a tuner, such as tuner=metaschedule")
        return [*_composed(master, screened(tuned), on_right), *points]
    with at_point(0):
        return [Point(tuple(overridden(master)), stack_of(master))]


def _composed(
    master: DictConfig, combinations: Sequence[Sequence[str]], on_right: Callable[[], object]
) -> list[Point]:
    loader = point_loader()

    def composed(place: int) -> Point:
        given = combinations[place]
        with at_point(place):
            with _refusing():
                declared = loader.load_declared(master, given)
            typed = tuple(one for one in given if not unheard.key(one).startswith(("hydra.", "hydra/")))
            _require_steps_once(typed)
            return Point(typed, config.parse(declared))

    with _naming(combinations):
        early = {}
        for place in _telling(combinations):
            early[place] = composed(place)
            on_right()
        return [early.get(place) or composed(place) for place in range(len(combinations))]


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn a person's mistake that Hydra or OmegaConf raises into a UserError."""
    try:
        yield
    except Exception as error:
        mistake = refusal(error)
        if mistake is None:
            raise
        raise mistake from None


def refusal(error: Exception) -> UserError | None:
    """Sentence on a person's mistake that Hydra or OmegaConf raised; None for any other exception."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, MissingConfigException):
        return _unknown_option(error)
    if isinstance(error, OverrideParseException):
        return UserError(
            "cannot be read", key=error.override, remedy="key=value, with quotes around odd characters"
        )
    if isinstance(error, OmegaConfBaseException):
        return explained(error)
    if isinstance(error, YAMLError):
        return UserError(f"a YAML file cannot be read: {error}", remedy="mend the file")
    if isinstance(error, HydraException):
        return _composition(error)
    if isinstance(error, ValueError) and str(error).startswith(GROUP_VALUE):
        return _nameless_option(sys.argv[1:])
    return None


def _unknown_option(error: MissingConfigException) -> UserError:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    extra = EXTRAS.get(group, {}).get(option)
    if extra is not None:
        problem = f"'{option}' takes a package that is not installed"
        return UserError(problem, key=group, remedy=f"pip install 'dlas[{extra}]'")
    known = sorted(error.options or _options(group))  # Hydra tells none where several were chosen
    if not known:
        return UserError(str(error).partition("\n")[0], remedy="dlas-run --help lists the options")
    steps = option.split("+")
    if len(steps) > 1 and set(steps) <= set(known):
        remedy = f"several in order are written {group}=[{','.join(steps)}]"
    else:
        remedy = f"{nearest(option, known)}known options: {', '.join(known)}"
    return UserError(f"there is no option '{option}'", key=group, remedy=remedy)


def _options(group: str) -> list[str]:
    """Options that the package has in the group."""
    return [path.stem for path in (config.config_folder() / group).glob("*.yaml")] if group else []


def _nameless_option(arguments: Sequence[str]) -> UserError:
    """UserError for the choice that was a number or a null; Hydra does not say which it was."""
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key in config.GROUPS and (value == "null" or not value.isidentifier()):
            return UserError(
                f"'{value}' names no option", key=key, remedy="dlas-run --help lists the options"
            )
    return UserError("an option is not a name", remedy="layer=option; dlas-run --help lists the options")


def _composition(error: HydraException) -> UserError:
    for pattern in (AMBIGUOUS, NEEDS_MULTIRUN):
        several = pattern.search(str(error))
        if several is not None:
            remedy = f"for a sweep add -m: dlas-run -m {several['key']}={several['value']}"
            return UserError(f"'{several['value']}' is several values", key=several["key"], remedy=remedy)
    if isinstance(error.__cause__, OmegaConfBaseException):
        return _step_not_chosen(error.__cause__) or explained(error.__cause__)
    return UserError(
        str(error).partition("\n")[0], remedy="dlas-run --help lists layers, options and settings"
    )


def _step_not_chosen(error: OmegaConfBaseException) -> UserError | None:
    """A setting of a step of compression that there is, but not in this stack."""
    group, _, step = str(error.full_key).partition(".")
    if group != "compression" or step not in _options(group) or error.parent_node is None:
        return None
    return UserError(
        f"{step} is not among the steps that were chosen",
        key=str(error.full_key),
        remedy=f"compression={step}, or several in order, such as compression=[weight_pruning,int8]; "
        "in a sweep every point needs the step: a sweep of its own, or an option of yours (README)",
    )


def overridden(composed: DictConfig) -> list[str]:
    """The overrides that made this config, as they were typed: interpolations stay what they are."""
    return cast(list[str], OmegaConf.to_container(composed.hydra.overrides.task))
