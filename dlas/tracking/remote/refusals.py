"""What a person is told of a store that can't be used: one message, which names what would help."""

from __future__ import annotations

from typing import cast

from dlas.errors import UserError, first_line
from dlas.tracking.remote import proxy
from dlas.tracking.remote.address import PROXIED, is_server, shown
from dlas.tracking.remote.patience import TIMEOUT
from dlas.tracking.remote.reasons import Kind, chain, network_trouble, silence

KEY = "tracking.uri"
CREDENTIALS = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or write ~/.mlflow/credentials"
CERTIFICATES = "MLFLOW_TRACKING_SERVER_CERT_PATH=<file> names the certificate of the server's authority"
SERVER = "the address of an MLflow server that runs: http://<machine>:<port>"
DATABASE = "the address of a database that runs: postgresql://<user>:<password>@<machine>:<port>/<database>"
PATIENCE = f"{TIMEOUT}=<seconds> in the environment waits longer for a slow one"
ITS_LOG = "the server's own log tells why"
CLIENT_SETTINGS = "the environment has its address and keys: docs/servers.md"
HOST_REFUSED = "Invalid Host header"
"""What MLflow's server answers where it is asked for by a name that its --allowed-hosts don't have."""
SERVER_ERRORS = 500
OF_EXTRA = ("boto3", "botocore", "psycopg", "psycopg2")
"""Modules of other people's packages that the extra `server` brings."""


def failing(address: str, status: str) -> UserError:
    """The server answers that it fails itself."""
    return UserError(
        f"{shown(address)}: it answers {status}", key=KEY, remedy=_past_proxy(address) or ITS_LOG
    )


def unreached(address: str, problem: str) -> UserError:
    """The store can't be reached."""
    usual = SERVER if is_server(address) else DATABASE
    return UserError(f"{shown(address)}: {problem}", key=KEY, remedy=_past_proxy(address) or usual)


def silent(address: str) -> UserError:
    """The store takes too long."""
    return UserError(
        f"{shown(address)}: {silence().reason}", key=KEY, remedy=_past_proxy(address) or PATIENCE
    )


def explained(address: str, error: Exception) -> UserError:
    """The store is reached, and MLflow's client or the database's raised the error."""
    if isinstance(error, ModuleNotFoundError):
        return UserError(f"{shown(address)}: it takes a package: {error}", key=KEY, remedy=_package(error))
    trouble = network_trouble(error)
    if trouble is not None and trouble.kind is Kind.UNTRUSTED:
        return UserError(f"{shown(address)}: {trouble.reason}", key=KEY, remedy=CERTIFICATES)
    if trouble is not None:
        return silent(address) if trouble.kind is Kind.SILENT else unreached(address, trouble.reason)
    problem, remedy = _answered(error) if is_server(address) else (_first_line(error), DATABASE)
    return UserError(f"{shown(address)}: {problem}", key=KEY, remedy=_past_proxy(address) or remedy)


def no_place_for_files(address: str, location: str, error: Exception) -> UserError:
    """The store is in order, and the files of runs can't be kept at `location`."""
    problem = f"{shown(address)}: files of runs can't be kept at {shown(location)}"
    if isinstance(error, ModuleNotFoundError):
        return UserError(f"{problem}, which takes a package: {error}", key=KEY, remedy=_package(error))
    trouble = network_trouble(error)
    if location.startswith(PROXIED):
        told, remedy = (trouble.reason, ITS_LOG) if trouble is not None else _answered(error)
    else:
        told, remedy = _first_line(error) if trouble is None else trouble.reason, CLIENT_SETTINGS
    if trouble is not None and trouble.kind is Kind.SILENT:
        remedy = PATIENCE
    return UserError(f"{problem}: {told}", key=KEY, remedy=remedy)


def files_take_too_long(address: str, location: str) -> UserError:
    """The store is in order, and a small file takes too long."""
    return no_place_for_files(address, location, TimeoutError())


def elsewhere(address: str, location: str) -> UserError:
    """The server has clients write the files of runs into a folder that is on its own machine alone."""
    problem = f"{shown(address)}: files of runs go to the folder {location}, which this machine doesn't have"
    remedy = "start the server with --artifacts-destination: it takes the files itself then (docs/servers.md)"
    return UserError(problem, key=KEY, remedy=remedy)


def _answered(error: Exception) -> tuple[str, str]:
    """What a server's answer means, and what would help."""
    from requests.exceptions import RetryError

    code = str(getattr(error, "error_code", ""))
    status = _status(error)
    if code == "UNAUTHENTICATED" or status == 401:
        user = _user()
        told = f"it doesn't take the password of '{user}'" if user else "it asks for a user and a password"
        return told, CREDENTIALS
    if HOST_REFUSED in str(error):
        return (
            "it takes no requests for a machine of that name",
            "start it with --allowed-hosts=<name>:<port>",
        )
    if code == "PERMISSION_DENIED" or status == 403:
        user = _user()
        told = f"the user '{user}' may not do that" if user else "it refuses (403)"
        return told, "whoever runs the server can allow it"
    if status >= SERVER_ERRORS or any(isinstance(cause, RetryError) for cause in chain(error)):
        return f"the server fails ({_first_line(list(chain(error))[-1])})", ITS_LOG
    if code == "ENDPOINT_NOT_FOUND" or "valid JSON" in str(error):
        return "what answers there is no MLflow server", SERVER
    return _first_line(error), ITS_LOG


def _status(error: Exception) -> int:
    """The status of the answer that an error of `requests` has; 0 for other errors."""
    return int(getattr(getattr(error, "response", None), "status_code", 0))


def _user() -> str | None:
    """The name by which MLflow's client logs in."""
    from mlflow.utils.credentials import read_mlflow_creds

    return cast("str | None", read_mlflow_creds().username)


def _package(error: ModuleNotFoundError) -> str:
    return "pip install 'dlas[server]'" if error.name in OF_EXTRA else f"pip install {error.name}"


def _past_proxy(address: str) -> str | None:
    """What helps where a proxy stands before the address."""
    variable = proxy.variable_of(address) if is_server(address) else None
    if variable is None:
        return None
    host = shown(address).partition("//")[2].partition("/")[0].rpartition(":")[0]
    return f"{variable} sends the request to a proxy; NO_PROXY={host} goes straight to the server"


def _first_line(error: BaseException) -> str:
    shortest = getattr(error, "orig", None) or error  # SQLAlchemy's errors have the driver's
    return first_line(shortest)
