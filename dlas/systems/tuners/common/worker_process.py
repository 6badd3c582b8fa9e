"""A tuner's process of its own: started for one request, ended with its answers or its asker."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dlas.errors import UserError

logger = logging.getLogger(__name__)

Reply = Callable[[Mapping[str, Any]], object]
"""What a worker's question gets, as plain JSON values."""


class WorkerDied(UserError):
    """A worker ended before its answers did."""

    def __init__(self, how: str, lines: Sequence[str], remedy: str) -> None:
        self.how = how
        """On one line, without what it wrote."""
        self.lines = lines
        """The last that it wrote."""
        tail = "".join(f"\n    {line}" for line in lines)
        super().__init__(f"{how}:{tail}", key="tuner", remedy=remedy)


TAIL_LINES = 15
"""Of what a worker wrote before it died, quoted."""


def no_questions(question: Mapping[str, Any]) -> object:
    """The reply of whoever expects none."""
    raise ValueError(f"the worker asked {', '.join(question)}")


def ask(
    name: str,
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    request: Mapping[str, Any],
    reply: Reply = no_questions,
) -> Generator[dict[str, Any], None, None]:
    """Start `command`, write `request` to it as a line of JSON, and yield each line of its answer.

    A line {"question": …} is the worker's own question, and gets its reply; {"problem": …, "key": …,
    "remedy": …} is a UserError of it. Its standard input stays open for as long as answers are wanted. When
    the iteration ends, however it ends, the worker and every process that it started are gone. UserError
    where it dies; `name` is the worker's, for a person to read.
    """
    with tempfile.TemporaryDirectory(prefix="tuner-", ignore_cleanup_errors=True) as scratch:
        log = Path(scratch) / "worker.txt"
        worker = _start(command, {**environment, "TMPDIR": scratch}, request, log)
        try:
            assert worker.stdout is not None
            for line in worker.stdout:
                answer = json.loads(line)
                if "question" in answer:
                    _write(worker, reply(answer["question"]))
                elif "problem" in answer:
                    raise UserError(**answer)
                else:
                    yield answer
            if worker.wait() != 0:
                raise _death(name, worker.returncode, log)
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


def _start(
    command: Sequence[str | Path], environment: Mapping[str, str], request: Mapping[str, Any], log: Path
) -> subprocess.Popen[str]:
    """The worker, asked; its errors go to `log`, and the candidates that it builds beside it."""
    with log.open("wb") as errors:
        worker = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            start_new_session=True,
        )
    _write(worker, request)
    return worker


def _write(worker: subprocess.Popen[str], document: object) -> None:
    assert worker.stdin is not None
    with suppress(BrokenPipeError):  # it died: reading its answers tells how
        worker.stdin.write(json.dumps(document) + "\n")
        worker.stdin.flush()


def _end(worker: subprocess.Popen[str]) -> None:
    """Kill the worker's process group: it leads one of its own, with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            pipe.close()


def _death(name: str, code: int, log: Path) -> WorkerDied:
    """What to tell of a worker that ended with `code`; its log is copied to where it stays."""
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    with tempfile.NamedTemporaryFile(prefix="tuner-worker-", suffix=".txt", delete=False) as kept:
        kept.write(log.read_bytes())
    return WorkerDied(f"the {name} worker {how}", lines, f"Its full log is {kept.name}")
