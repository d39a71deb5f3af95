"""Reads ``--proxy``, which any command takes, into the environment that every session of this process honours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from rh_async._cli.exit_codes import UsageError

_OPTION = "--proxy"
_SET = "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"


def take_proxy(words: Sequence[str]) -> list[str]:
    """Take ``--proxy URL`` out of a command line and let it stand for HTTP_PROXY and HTTPS_PROXY.

    NO_PROXY goes on being honoured. A proxy whose address holds a password belongs into the environment: a process list
    shows options.

    :raises UsageError: it has no value, or one that is no http address.
    """
    rest: list[str] = []
    given = iter(words)
    for word in given:
        name, joined, value = word.partition("=")
        if name != _OPTION:
            rest.append(word)
            continue
        address = value if joined else next(given, "")
        _check(address)
        os.environ.update(dict.fromkeys(_SET, address))
    return rest


def _check(address: str) -> None:
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port is not None
    except ValueError:
        usable = False
    if not usable:  # not shown: it may hold a password
        raise UsageError("--proxy must look like http://HOST:PORT; nothing was sent")
