"""Finds the proxy that the environment names for an address, as most programs do; and nobody's password beside it."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_SCHEMES = frozenset({"http", "https"})


def proxy_from_environment(url: str) -> str | None:
    """The proxy for a URL, by ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``; None for none.

    aiohttp's own way reads a netrc file too: its passwords would go to hosts that never asked for them.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if proxy_bypass(host if parts.port is None else f"{host}:{parts.port}"):
        return None
    known = getproxies()
    named = known.get(parts.scheme) or known.get("all")
    if not named:
        return None
    return named if "://" in named else f"http://{named}"


def is_proxy(url: str) -> bool:
    """Whether a proxy's address is one that can be used."""
    try:
        parts = urlsplit(url)
        return parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
