"""Opens aiohttp connection pools: TLS, time-outs, cookies, and the proxy that the environment names."""

from __future__ import annotations

import ssl as tls
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import TraceConfig, hdrs
from attrs import field, frozen
from attrs.validators import gt

SSL = tls.SSLContext | bool | aiohttp.Fingerprint | None
Connector = aiohttp.BaseConnector

_SCHEMES = frozenset({"http", "https"})


@frozen(kw_only=True)
class Timeouts:
    """How long to wait for the network, in seconds.

    :param connect: until a connection is made.
    :param read: from there until the whole response has come; for a call that is harmless to repeat, from the start.
    :param stall: without one chunk moving, while a file is sent or received.
    """

    connect: float = field(default=15.0, validator=gt(0))
    read: float = field(default=60.0, validator=gt(0))
    stall: float = field(default=30.0, validator=gt(0))


def open_pool(
    *,
    headers: Mapping[str, str],
    ssl: SSL,
    trace_configs: Sequence[TraceConfig],
    proxy: str | None = None,
    connector: Connector | None = None,
    auto_decompress: bool = True,
    **options: Any,
) -> aiohttp.ClientSession:
    """Open a pool without a limit of connections; needs a running loop, touches no network.

    :param connector: the caller's own, which the pool does not close; by default a new one is made.
    :param options: of the new connector.
    """
    return aiohttp.ClientSession(
        connector=connector or aiohttp.TCPConnector(ssl=True if ssl is None else ssl, limit=0, **options),
        connector_owner=connector is None,
        headers={hdrs.USER_AGENT: "rh-async", **headers},
        auto_decompress=auto_decompress,
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=proxy,
        # Not aiohttp's trust_env: that would look passwords up in a netrc file, and send them beside the API key, or to
        # whatever host a link names.
        trust_env=False,
        trace_configs=list(trace_configs),
    )


def proxy_from_environment(url: str) -> str | None:
    """Find the proxy for a URL by ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``; None without one."""
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
    """Whether a proxy's URL can be used: http or https, with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
