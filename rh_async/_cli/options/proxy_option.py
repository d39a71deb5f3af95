"""Reads ``--proxy``, which any command takes, into the environment variables that every session honours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from rh_async._cli.exit_codes import UsageError

_OPTION = "--proxy"
_VARIABLES = "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"


def take_proxy(arguments: Sequence[str]) -> list[str]:
    """Take ``--proxy URL`` out of a command line, and set HTTP_PROXY and HTTPS_PROXY to it.

    NO_PROXY is still honoured. An address with a password belongs in the environment: a process list shows options.

    :raises UsageError: it has no value, or one that is no http address.
    """
    others: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, joined, value = argument.partition("=")
        if name != _OPTION:
            others.append(argument)
            continue
        address = value if joined else next(remaining, "")
        _check(address)
        os.environ.update(dict.fromkeys(_VARIABLES, address))
    return others


def _check(address: str) -> None:
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port is not None
    except ValueError:
        usable = False
    if not usable:  # not shown: it may hold a password
        raise UsageError("--proxy must look like http://HOST:PORT; nothing was sent")
