"""What a failed request was about, in a person's words.

`requests`, urllib3, MLflow, boto3 and SQLAlchemy each wrap the error of the one below. What counts lies at
the bottom, where Python says what the network did.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from dlas.tracking.remote.patience import answer_seconds


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what caused it, and so on."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def network_reason(error: BaseException) -> str | None:
    """What went wrong on the way to a machine; None where the error is of another kind."""
    for cause in reversed(list(chain(error))):
        match cause:
            case socket.gaierror():
                return f"there is no machine of that name ({cause.strerror})"
            case ConnectionRefusedError():
                return "nobody listens there (connection refused)"
            case TimeoutError():
                return silence()
            case ConnectionError():
                return f"it ends the connection without an answer ({_text(cause)})"
            case ssl.SSLError():
                return f"TLS: {_text(cause)}"
            case OSError() if cause.errno is not None:
                return _text(cause)
    return None


def silence() -> str:
    """A store that takes too long, in words."""
    return f"it does not answer within {answer_seconds():g} s"


def _text(error: OSError) -> str:
    return error.strerror or str(error)
