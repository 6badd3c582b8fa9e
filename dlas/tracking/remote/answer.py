"""Whether anybody answers at a server's address: asked before MLflow is imported, which takes seconds."""

from __future__ import annotations

import warnings
from typing import Any

from dlas.errors import UserError
from dlas.tracking.remote import refusals
from dlas.tracking.remote.patience import answer_seconds


def refusal_of(address: str) -> UserError | None:
    """What is wrong with the server; None where it answers, be it by asking for a password.

    Certificates are not looked at: MLflow's client does so by the user's own settings, and nothing secret is
    sent here. Warnings are turned off for good, so this is for a process of its own.
    """
    import requests

    warnings.simplefilter("ignore")
    health = f"{address.rstrip('/')}/health"
    try:
        answer = requests.get(health, auth=_no_password, verify=False, timeout=answer_seconds())
    except requests.exceptions.SSLError:
        return None
    except Exception as error:  # of requests, or of what it is made of
        return refusals.explained(address, error)
    if answer.status_code >= refusals.SERVER_ERRORS:
        return refusals.failing(address, f"{answer.status_code} {answer.reason}")
    return None


def _no_password(request: Any) -> Any:
    """Keep `requests` from sending what the address or ~/.netrc has."""
    return request
