"""Work that ends within a time, whatever it waits for: names, connections, another library's retries."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Pipe
from typing import TypeVar, cast

Result = TypeVar("Result")


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """The result of the work, which a fork of this process does.

    What the work raises is raised here, TimeoutError where it takes longer, ChildProcessError where it ends
    its process. Result and exception are pickled. What it changes in its process is lost with it. Threads
    don't outlive a fork, so that the work may use none of this process's.
    """
    receiving, sending = Pipe(duplex=False)
    child = os.fork()
    if not child:
        try:
            sending.send(_outcome(work))
        finally:
            os._exit(0)
    sending.close()
    try:
        if not receiving.poll(seconds):
            raise TimeoutError
        result, error = receiving.recv()
    except EOFError:
        raise ChildProcessError("work in a process of its own ended without a result") from None
    finally:
        receiving.close()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if error is not None:
        raise error
    return cast(Result, result)


def _outcome(work: Callable[[], Result]) -> tuple[Result | None, Exception | None]:
    try:
        return work(), None
    except Exception as error:
        return None, error
