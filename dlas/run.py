"""The command: compose a stack, check it, and make one MLflow run of each of its points.

    python -m dlas.run -m model=vgg16,resnet18 algo=direct,gemm

Exit status: 0 every point finished; 1 a point failed; 2 a mistake in the config, nothing was started;
130 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dlas import config, quota, user
from dlas.errors import UserError
from dlas.output import forgiving_output
from dlas.points import fingerprint, making, process

if TYPE_CHECKING:
    from dlas import tracking

STOPPED, MISTAKE = 130, 2
# A second Ctrl-C within this many seconds would only spoil the closing of the runs.
CLOSING_SECONDS = 5.0

log = logging.getLogger("dlas.run")


def main() -> None:
    """Run the `dlas-run` command."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them its own way
    _stop_on_signals()
    quota.follow()
    user.stand_in()
    with forgiving_output():
        _run()


def _run() -> None:
    try:
        from dlas.config import typed

        sys.argv[1:] = typed.in_order(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(config.config_folder()), config_name="config")(
            run_job
        )()
    except KeyboardInterrupt:
        _abandon("KILLED")
        print(f"go on: {_command()}", file=sys.stderr)
        print("stopped; the same command goes on from the finished stages", file=sys.stderr)
        sys.exit(STOPPED)
    except Exception as error:
        _abandon("FAILED")
        from dlas.config.composing import refusal

        mistake = refusal(error)
        if mistake is None:
            raise
        print(mistake, file=sys.stderr)
        sys.exit(MISTAKE)


def run_job(composed: DictConfig) -> str:
    """Make one point as one MLflow run, under its sweep's if there is one; returns the run's id.

    A point that fails is recorded and does not stop the others, so nothing but a stop by the user is raised.
    """
    from dlas import tracking
    from dlas.tracking import sweep

    stack = config.parse(composed)
    job = HydraConfig.get()
    overrides = list(job.overrides.task)
    name = sweep.run_name(overrides) or f"model={stack.model.name} algo={stack.algo.name}"
    parent = os.environ.get(sweep.PARENT)
    position = f"[{job.job.num + 1}/{os.environ[sweep.POINTS]}] " if parent else ""
    log.info("%s%s", position, name)
    tags = {"dlas.point": config.identity(stack), "dlas.overrides": " ".join(overrides)}
    tags |= {
        f"dlas.{group}": str(choice) for group, choice in job.runtime.choices.items() if "/" not in group
    }
    tags["dlas.compression"] = config.flat(stack)["compression"]  # Hydra has no one choice of several steps

    store = tracking.open_store(Path(stack.artifacts), stack.tracking.uri, stack.tracking.experiment)
    known = fingerprint.of(stack)
    earlier = tracking.earlier(store, known, stack.rerun or (sweep.SWEPT if parent else sweep.ALL))
    if earlier is not None:
        log.info("%s%s earlier: run %s", position, earlier.status, earlier.run_id)
        return earlier.run_id
    tags[tracking.FINGERPRINT] = known
    run = tracking.start_point(store, name, tags, parent)
    logged = process.logging_of(job.job_logging, job.verbose)
    work = making.check_and_make if sweep.is_unchecked(stack) else making.make
    started = time.monotonic()
    try:
        with tracking.closing(run):
            _make(work, stack, overrides, logged, run)
        log.info("%sfinished in %.0f s", position, time.monotonic() - started)
    except UserError as error:
        log.error("%sfailed: %s", position, error)
    except Exception:
        log.exception("%sfailed, and not by your mistake; please report:", position)
    return run.run_id


def _make(
    work: Callable[..., None],
    stack: config.Stack,
    overrides: list[str],
    logged: making.Logging,
    run: tracking.OpenRun,
) -> None:
    """Have the point made in a process of its own, and log what it found, and wrote."""
    from dlas import tracking
    from dlas.files import folders
    from dlas.tracking import sweep

    artifacts = Path(stack.artifacts)
    runs = [run.run_id, *filter(None, [os.environ.get(sweep.PARENT)])]
    with folders.disk_troubles(artifacts), folders.scratch_folder(artifacts, run.run_id) as bundle:
        run.log(params=config.flat(stack))
        output = bundle.parent / tracking.OUTPUT
        try:
            found = process.make(
                work,
                making.Point(stack, tuple(overrides), bundle, fingerprint.code_of(stack)),
                logged,
                on_use=lambda used: run.log(tags={tracking.STAGES: " ".join(used)}),
                beat=lambda: tracking.beat(run.store, runs),
                output=output,
            )
        finally:
            run.log_output(output)
        run.log_files(bundle, tracking.BUNDLE)
        run.log(metrics=found.metrics, tags=found.tags)


def _command() -> str:
    """The command that this process was started with, as a shell takes it."""
    program, *arguments = sys.argv
    started = ["dlas-run"] if Path(program).name == "dlas-run" else ["python", "-m", "dlas.run"]
    return shlex.join([*started, *arguments])


def _abandon(status: str) -> None:
    """End the sweep, which only a process that got as far as its callback can lead."""
    sweep = sys.modules.get("dlas.tracking.sweep")
    if sweep is not None:
        sweep.abandon(status)


def _stop_on_signals() -> None:
    """Have Ctrl-C, SIGTERM and a closed terminal all raise KeyboardInterrupt, once."""
    stopped_at = -CLOSING_SECONDS

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped_at
        again = time.monotonic() - stopped_at < CLOSING_SECONDS
        stopped_at = time.monotonic()
        if not again:
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup asked for that
            signal.signal(number, stop)


if __name__ == "__main__":
    main()
