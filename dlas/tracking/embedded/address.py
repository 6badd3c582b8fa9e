"""Addresses of sqlite databases, as SQLAlchemy reads them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

SQLITE = "sqlite:///"


def address_of(database: Path) -> str:
    """Address of the database."""
    return f"{SQLITE}{str(database).replace('%', '%25').replace('?', '%3F')}"


def database_at(uri: str) -> Path:
    """The database at the address."""
    return Path(unquote(uri.removeprefix(SQLITE)))
