"""Proxies that the environment puts before an address."""

from __future__ import annotations

import os
from urllib.parse import urlsplit


def variable_of(address: str) -> str | None:
    """The environment variable that sends requests to a proxy; None where they go straight."""
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(address, get_environ_proxies(address))
    if proxy is None:
        return None
    own = f"{urlsplit(address).scheme}_proxy"
    names = (own, own.upper(), "all_proxy", "ALL_PROXY")
    return next((name for name in names if os.environ.get(name) == proxy), own)
