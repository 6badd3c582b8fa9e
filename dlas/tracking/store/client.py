"""MLflow's client, as this project has it."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from importlib import import_module

from dlas.processes.lasting import lasting

CLIENT_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
# Without these MLflow's client asks the server for addresses of files in the store behind it, and fetches
# them there: that store may be out of the client's reach.
THROUGH_SERVER = ("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD")
# Without it MLflow's UI starts 15 processes instead of 2.
SERVER_ENVIRONMENT = {**CLIENT_ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def quiet() -> None:
    """Import MLflow, silenced before: no telemetry, no word on git or migrations, no error logged and raised.
    Files go by way of the server, unless the user has it otherwise."""
    os.environ.update(CLIENT_ENVIRONMENT)
    for name in THROUGH_SERVER:
        os.environ.setdefault(name, "false")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    if "mlflow" not in sys.modules:
        with lasting():
            import_module("mlflow")


def client_errors() -> tuple[type[Exception], ...]:
    """What is raised where a store, or a database that is none, can't be read."""
    from mlflow.exceptions import MlflowException

    return MlflowException, sqlite3.Error
