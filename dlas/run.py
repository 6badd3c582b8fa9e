"""The command: compose a stack, check it, and make one MLflow run of each of its points.

    python -m dlas.run -m model=vgg16,resnet18 algo=direct,gemm
    python -m dlas.run --plan -m model=vgg16,resnet18 algo=direct,gemm    only tell what is to be done

Exit status: 0 every point finished; 1 a point failed; 2 a mistake in the config, nothing was started; 3 every
point finished, and some are not sent to the store yet; 130 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import functools
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from dlas import config, quota, user
from dlas.config import composing, unheard
from dlas.errors import UserError, first_line
from dlas.output import forgiving_output
from dlas.points import durations, fingerprint, making, process, view
from dlas.points.progress import Progress
from dlas.points.view.status import Course
from dlas.processes import slurm, stopping

if TYPE_CHECKING:
    from dlas.tracking.delivery import Draft

STOPPED, MISTAKE, FAILURE = 130, 2, 1
PLAN = "--plan"
PLANNING = "hydra.callbacks.sweep._target_=dlas.points.planning.PlanCallback"

log = logging.getLogger("dlas.run")


def main() -> None:
    """Run the `dlas-run` command."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them its own way
    typed = list(sys.argv)
    with stopping.on_signals():
        quota.follow()
        user.stand_in()
        with forgiving_output():
            _run(typed)


def _run(typed: Sequence[str]) -> None:
    try:
        from dlas.config.typed import in_order

        sys.argv[1:] = in_order(_with_plan(sys.argv[1:]))
        try:
            _launch()
        except Exception as error:
            _wait_for_others(error)
            raise
    except KeyboardInterrupt:
        _abandon("KILLED")
        print(f"go on: {_command(typed)}", file=sys.stderr)
        print("stopped; the same command goes on from the finished stages", file=sys.stderr)
        sys.exit(STOPPED)
    except Exception as error:
        launcher = _launcher()
        _abandon("FAILED")
        mistake = composing.refusal(error)
        if slurm.refused(error):
            problem = f"SLURM takes no such jobs: {first_line(error)}"
            mistake = UserError(
                problem, key="hydra.launcher", remedy="`sinfo` lists the partitions and their limits"
            )
        if mistake is None and launcher is not None:
            log.debug("the way there:", exc_info=error)
            problem = f"'{launcher}' lost a job: {_told(error)}"
            remedy = f"go on: {_command(typed)}"
            print(UserError(problem, key="hydra/launcher", remedy=remedy), file=sys.stderr)
            sys.exit(FAILURE)
        if mistake is None:
            raise
        print(mistake, file=sys.stderr)
        sys.exit(MISTAKE)


def _launch() -> None:
    from dlas import run  # a launcher's jobs import what makes their points by this name

    hydra.main(version_base="1.3", config_path=str(config.config_folder()), config_name="config")(
        run.run_job
    )()


def _wait_for_others(error: Exception) -> None:
    """Wait for the other jobs of SLURM where the error tells that one was lost: its point alone is."""
    folder = _slurm_folder()
    if folder is not None and not slurm.refused(error):
        log.error("a job was lost, and the others are waited for: %s", _told(error))
        slurm.wait_for_all(folder)


def _told(error: Exception) -> str:
    """What the error of a launcher says, less what its job wrote, which follows in submitit's."""
    return " ".join(str(error).strip().splitlines()[:2]) or type(error).__name__


def _with_plan(arguments: list[str]) -> list[str]:
    """The arguments as Hydra takes them: to ask for a plan is to have another callback."""
    others = [each for each in arguments if each != PLAN]
    return others if len(others) == len(arguments) else [*others, PLANNING]


def run_job(composed: DictConfig) -> str | float | tuple[float, ...] | None:
    """Make one point as one MLflow run, under its sweep's if there is one; returns what the sweeper is told.

    A point that fails is recorded and does not stop the others, so nothing but a stop by the user is raised.
    """
    from dlas import tracking
    from dlas.points import expected
    from dlas.tracking import delivery, jobs, sweep

    job = HydraConfig.get()
    parent = os.environ.get(sweep.PARENT)
    if parent and sweep.is_repeated(job.job.num):
        return None
    stack = config.parse(composed)
    overrides = cast(list[str], OmegaConf.to_container(job.overrides.task))
    heard = unheard.without(overrides, stack)
    typed = sweep.run_name(heard) or f"model={stack.model.name} algo={stack.algo.name}"
    short = sweep.short_name(heard) or typed
    position = sweep.position(job.job.num) if parent else ""
    log.info("%s%s", position, typed)
    tags = {"dlas.point": config.identity(stack), "dlas.overrides": shlex.join(overrides)}
    tags |= {
        f"dlas.{group}": str(choice) for group, choice in job.runtime.choices.items() if "/" not in group
    }
    tags |= {f"dlas.{group}": getattr(stack, group).name for group in config.GROUPS if group != "compression"}
    tags["dlas.compression"] = config.flat(stack)["compression"]  # Hydra has no one choice of several steps

    place = delivery.Place(Path(stack.artifacts), stack.tracking.uri, stack.tracking.experiment)
    store = delivery.reach(place)
    jobs.require_going_on(store, parent)
    known = process.fingerprint_of(stack)
    earlier = delivery.earlier(place, store, known, stack.rerun or (sweep.SWEPT if parent else sweep.ALL))
    if earlier is not None:
        log.info("%s%s earlier: run %s", position, earlier.status, earlier.run_id)
        sweep.take(store, earlier, job.job.num)
        return sweep.told(place, earlier.run_id, stack.objectives)
    if slurm.is_begun_again():
        jobs.remove_attempts(store, parent, known)
    tags[tracking.FINGERPRINT] = known
    took = {} if store is None else expected.earlier(store, stack).by_step(stack)
    run = delivery.begin(place, store, short, tags, parent)
    logged = process.logging_of(job.job_logging, job.verbose)
    work = making.check_and_make if sweep.is_unchecked(stack) else making.make
    course = _course(sweep.count_led())
    course.begin_point()
    try:
        with delivery.delivering(run), _ending(job.runtime.choices):
            sweep.require_planned(stack, fingerprint.code_of(stack))
            far = functools.partial(course.lines, position, short, expected=took)
            # Jobs of a launcher may write to one place, each in the middle of another's lines.
            apart = functools.partial(view.in_lines, name=f"{position}{short}")
            opened = view.fitting if sweep.is_led_here() else apart
            _make(work, stack, overrides, logged, run, far, opened)
        log.info("%sfinished in %s", position, durations.told(course.so_far))
    except UserError as error:
        log.error("%sfailed: %s", position, error)
    except Exception:
        log.exception("%sfailed, and not by your mistake; please report:", position)
    finally:
        course.end_point()
    return sweep.told(place, run.own_id, stack.objectives)


def _ending(choices: Mapping[str, object]) -> AbstractContextManager[None]:
    """What ends the point where the launcher that was chosen has its job ended."""
    on_slurm = choices["hydra/launcher"] == composing.SLURM_LAUNCHER
    return slurm.ending_as_told(process.server) if on_slurm else nullcontext()


@functools.cache
def _course(points: int) -> Course:
    """The course of the points that this process makes, the same one for all of them."""
    return Course(points)


def _make(
    work: Callable[..., None],
    stack: config.Stack,
    overrides: list[str],
    logged: making.Logging,
    run: Draft,
    far: Callable[[Progress], Sequence[str]],
    opened: view.Opening,
) -> None:
    """Have the point made in a process of its own, and note what it found, then what took how long."""
    from dlas.files import folders
    from dlas.tracking import jobs, sweep

    seconds: dict[str, float] = {}
    with folders.disk_troubles(Path(stack.artifacts)):
        run.bundle.mkdir()
        run.note(params=config.flat(stack))
        try:
            found = process.make(
                work,
                making.Point(stack, tuple(overrides), run.folder, run.bundle, fingerprint.code_of(stack)),
                logged,
                on_step=functools.partial(_note, run, seconds),
                beat=lambda: jobs.beat(run, os.environ.get(sweep.PARENT)),
                far=far,
                opened=opened,
                output=run.output,
            )
            run.note(metrics=found.metrics, tags=found.tags)
        finally:
            run.note(metrics=seconds)


def _note(run: Draft, seconds: dict[str, float], progress: Progress) -> None:
    """Note the stage results that the point used so far, and in `seconds` how long made ones took."""
    from dlas import tracking

    seconds |= {f"{tracking.SECONDS}{step}": took for step, took in progress.seconds.items()}
    run.note(tags={tracking.STAGES: " ".join(progress.used)})


def _command(typed: Sequence[str]) -> str:
    """The command that this process was started with, as the same shell takes it."""
    program, *arguments = typed
    if Path(program).stem == "dlas-run":
        started = [_as_found("dlas-run", program)]
    else:
        started = [_as_found("python", sys.executable), "-m", "dlas.run"]
    return shlex.join([*started, *arguments])


def _as_found(name: str, program: str) -> str:
    """The name of the program where a shell finds that one by it, or else its path."""
    found = shutil.which(name)
    return name if found is not None and Path(found).absolute() == Path(program).absolute() else program


def _abandon(status: str) -> None:
    """End the sweep, which only a process that got as far as its callback can lead."""
    sweep = sys.modules.get("dlas.tracking.sweep")
    if sweep is not None:
        sweep.abandon(status)


def _slurm_folder() -> Path | None:
    """The folder of the sweep that this process leads by jobs of SLURM, if any."""
    sweep = sys.modules.get("dlas.tracking.sweep")
    return None if sweep is None else sweep.slurm_folder()


def _launcher() -> str | None:
    """The launcher whose jobs this process still waits for, if any."""
    sweep = sys.modules.get("dlas.tracking.sweep")
    return None if sweep is None else sweep.launcher()


if __name__ == "__main__":
    main()
