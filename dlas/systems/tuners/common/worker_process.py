"""A process of a tuner's own: forked for one request, ended with its answers or its asker.

What forks it is kept, since its imports take seconds. This is the asker's side of it; the worker's is
`worker_side`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dlas import crashes
from dlas.errors import UserError
from dlas.processes.fork_server import Forked, ForkServer

logger = logging.getLogger(__name__)

Reply = Callable[[Mapping[str, Any]], object]
"""Answers a worker's question with plain JSON values."""


class WorkerDied(UserError):
    """A worker ended before its answers did."""

    def __init__(self, how: str, lines: Sequence[str], remedy: str) -> None:
        self.how = how
        """The worker's end in one line, without its output."""
        self.lines = lines
        """The last lines of the worker's output."""
        tail = "".join(f"\n    {line}" for line in lines)
        super().__init__(f"{how}:{tail}", key="tuner", remedy=remedy)


TAIL_LINES = 15
"""Last lines of a dead worker's output that are quoted."""


def no_questions(question: Mapping[str, Any]) -> object:
    """Refuse any question: the reply of an asker that expects none."""
    raise ValueError(f"the worker asked {', '.join(question)}")


def ask(
    name: str,
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    request: Mapping[str, Any],
    reply: Reply = no_questions,
) -> Generator[dict[str, Any], None, None]:
    """Have a process do `request` in this environment, and yield each line of its answer.

    `command`, with a file descriptor added, is what forks it: it is started once, with the PYTHONPATH of the
    environment, and kept for as long as this process runs. A line {"question": …} is the worker's own
    question, and gets its reply; {"problem": …, "key": …, "remedy": …} is a UserError of it. Its standard
    input stays open for as long as answers are wanted. When the iteration ends, however it ends, the worker
    and every process that it started are gone. UserError where it dies; `name` is the worker's, for a person
    to read.
    """
    with tempfile.TemporaryDirectory(prefix="tuner-", ignore_cleanup_errors=True) as scratch:
        log = Path(scratch) / "worker.txt"
        worker = _start(name, command, {**environment, "TMPDIR": scratch}, log)
        try:
            _write(worker, {**request, "environment": {**environment, "TMPDIR": scratch}})
            for line in worker.answers:
                answer = json.loads(line)
                if "question" in answer:
                    _write(worker, reply(answer["question"]))
                elif "problem" in answer:
                    raise UserError(**answer)
                else:
                    yield answer
            if worker.process.wait() != 0:
                raise _death(name, worker.process.wait(), log.read_bytes())
        finally:
            _end(worker)


def records_of(answers: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
    """The lines of records that a worker tells, {"records": […]}. Why a schedule of a similar layer was left
    out, {"refused": reason}, is logged."""
    for answer in answers:
        if "refused" in answer:
            logger.info(answer["refused"])
        else:
            yield answer["records"]


@dataclass(frozen=True)
class _Worker:
    process: Forked
    questions: IO[str]
    """Pipe to the worker's standard input."""
    answers: IO[str]


@dataclass(frozen=True)
class _WorkerServer:
    """A fork server of workers, kept from one request to the next."""

    process: subprocess.Popen[bytes]
    server: ForkServer
    log: IO[bytes]


_SERVERS: dict[tuple[str, ...], _WorkerServer] = {}
"""Fork servers by the command, and the PYTHONPATH, that they were started with."""


def _start(name: str, command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> _Worker:
    """Fork a worker whose errors go to `log`, and which builds candidates in the log's folder."""
    key = (*map(str, command), environment["PYTHONPATH"])
    if key not in _SERVERS or _SERVERS[key].process.poll() is not None:
        _SERVERS[key] = _keep(command, environment)
    kept = _SERVERS[key]
    with log.open("wb") as errors:
        its_input, questions = os.pipe()
        answers, its_output = os.pipe()
        try:
            process = kept.server.fork([its_input, its_output, errors.fileno()])
        except BaseException as error:
            del _SERVERS[key]
            os.close(questions)
            os.close(answers)
            if not isinstance(error, OSError):
                raise
            kept.log.seek(0)
            raise _death(name, kept.process.wait(), kept.log.read()) from None
        finally:
            os.close(its_input)
            os.close(its_output)
    return _Worker(process, os.fdopen(questions, "w"), os.fdopen(answers))


def _keep(command: Sequence[str | Path], environment: Mapping[str, str]) -> _WorkerServer:
    ours, theirs = socket.socketpair()
    log = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
    process = subprocess.Popen(
        [*command, str(theirs.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=environment,
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )
    theirs.close()
    return _WorkerServer(process, ForkServer(ours), log)


def _write(worker: _Worker, document: object) -> None:
    with suppress(BrokenPipeError):  # it died: reading its answers tells how
        worker.questions.write(json.dumps(document) + "\n")
        worker.questions.flush()


def _end(worker: _Worker) -> None:
    """Kill the worker's process group: it leads one of its own, with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(worker.process.pid, signal.SIGKILL)
    worker.process.kill()  # it may not have come to lead one
    worker.process.wait()
    for pipe in (worker.questions, worker.answers):
        with suppress(BrokenPipeError):
            pipe.close()


def _death(name: str, code: int, log: bytes) -> WorkerDied:
    """The error for a worker that ended with `code`; its log is kept in a file."""
    lines = log.decode(errors="replace").splitlines()[-TAIL_LINES:]
    with tempfile.NamedTemporaryFile(prefix="tuner-worker-", suffix=".txt", delete=False) as kept:
        kept.write(log)
    return WorkerDied(f"the {name} worker {crashes.end(code)}", lines, f"Its full log is {kept.name}")
