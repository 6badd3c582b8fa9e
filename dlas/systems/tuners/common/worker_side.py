"""The worker's side of `worker_process`: a request, JSON lines on standard output.

    serve_requests(work)         once the imports are done that every request takes
    Asker().do(command, pools)   in `work`, which is called with each request

An answer {"question": …} waits for a line of JSON on standard input; the others wait for nothing. Standard
input stays open for as long as the answers are wanted: when it closes, this process and all that it started
end, whatever they are doing. Any TVM may be there: none is imported here.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from dlas.errors import UserError
from dlas.processes.fork_server import serve
from dlas.systems.tuners.common import popen_pools


def serve_requests(work: Callable[[dict[str, Any]], None]) -> NoReturn:
    """Serve requests in the process that `command` of `worker_process.ask` starts: call `work` with each
    request, in a process whose standard input and output are those of that request, and which leads a process
    group."""

    def work_apart(*descriptors: int) -> None:
        os.setpgid(0, 0)
        for stream, descriptor in enumerate(descriptors):
            os.dup2(descriptor, stream)
            os.close(descriptor)
        request = json.loads(sys.stdin.readline())
        os.environ.clear()
        os.environ.update(request["environment"])
        tempfile.tempdir = None
        work(request)

    serve(socket.socket(fileno=int(sys.argv[1])), work_apart)


class Asker:
    """The one who asked for the work of this process. From its making on, what is printed goes to standard
    error: it is no answer."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self._replies: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def report(self, answer: Mapping[str, Any]) -> None:
        """Give an answer, of plain JSON values."""
        self._answers.write(json.dumps(answer) + "\n")

    def ask(self, question: Mapping[str, Any]) -> Any:
        """Ask the asker, and wait for its reply."""
        self.report({"question": question})
        return self._replies.get()

    def do(self, command: Callable[[], None], popen_pool: Any) -> NoReturn:
        """Do what was asked for, to the end of this process, which has no other thread yet.

        Pools of processes fork them with what this one has imported; `popen_pool` is TVM's module of pools.
        A UserError is reported; an OSError ends the process with status 1 and one line on standard error.
        """
        popen_pools.serve_pools(popen_pool)
        threading.Thread(target=self._listen, daemon=True).start()  # no thread may be there before
        try:
            command()
        except UserError as error:  # a lost board, say
            self.report({"problem": error.problem, "key": error.key, "remedy": error.remedy})
        except OSError as error:  # a full disk, say
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
        self._answers.close()
        sys.stderr.flush()
        os._exit(0)  # nothing is left to save, and idle measuring processes would take a second each to join

    def _listen(self) -> None:
        """Pass on what the asker replies; when the asker goes away, kill this process group."""
        for line in sys.stdin:
            self._replies.put(json.loads(line))
        os.killpg(0, signal.SIGKILL)
