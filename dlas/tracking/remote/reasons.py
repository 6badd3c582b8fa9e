"""What a failed request was about, in a person's words.

`requests`, urllib3, MLflow, boto3 and SQLAlchemy each wrap the error of the one below. What counts lies at
the bottom, where Python says what the network did.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from dlas.tracking.remote.patience import answer_seconds


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what caused it, and so on."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


class Kind(Enum):
    """Kinds of network troubles, by what helps."""

    SILENT = "it does not answer in time"
    UNTRUSTED = "its certificate is not accepted, or there is other trouble with TLS"
    UNREACHED = "it can't be reached"


@dataclass(frozen=True)
class NetworkTrouble:
    """What went wrong on the way to a machine."""

    reason: str
    """It in words."""
    kind: Kind = Kind.UNREACHED


def network_trouble(error: BaseException) -> NetworkTrouble | None:
    """What went wrong on the way to a machine; None where the error is of another kind."""
    for cause in reversed(list(chain(error))):
        match cause:
            case socket.gaierror():
                return NetworkTrouble(f"there is no machine of that name ({cause.strerror})")
            case ConnectionRefusedError():
                return NetworkTrouble("nobody listens there (connection refused)")
            case TimeoutError():
                return silence()
            case ConnectionError():
                return NetworkTrouble(f"it ends the connection without an answer ({_text(cause)})")
            case ssl.SSLError():
                return NetworkTrouble(f"TLS: {_text(cause)}", Kind.UNTRUSTED)
            case OSError() if cause.errno is not None:
                return NetworkTrouble(_text(cause))
    return None


def network_reason(error: BaseException) -> str | None:
    """What went wrong on the way to a machine, in words; None where the error is of another kind."""
    trouble = network_trouble(error)
    return None if trouble is None else trouble.reason


def silence() -> NetworkTrouble:
    """The trouble with a store that takes too long."""
    return NetworkTrouble(f"it does not answer within {answer_seconds():g} s", Kind.SILENT)


def _text(error: OSError) -> str:
    return error.strerror or str(error)
