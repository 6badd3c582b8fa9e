"""Addresses of stores on other machines."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

DATABASES = ("postgresql", "mysql", "mssql")
PROXIED = "mlflow-artifacts:"
"""Scheme of files that an MLflow server takes and gives itself, wherever it keeps them."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def shown(address: str) -> str:
    """The address, or a text with addresses in it, as it may be printed: without users' names and
    passwords."""
    return re.sub(r"(?<!/)//[^/\s]*@", "//", address)


def is_server(address: str) -> bool:
    """Whether the address is that of an MLflow server rather than a database."""
    return urlsplit(address).scheme in ("http", "https")


def is_database_server(address: str) -> bool:
    """Whether the address is that of a database server, such as `postgresql://` or `postgresql+psycopg://`."""
    return urlsplit(address).scheme.partition("+")[0] in DATABASES


def is_here(address: str) -> bool:
    """Whether the address is of this machine by its name."""
    return urlsplit(address).hostname in LOOPBACK
