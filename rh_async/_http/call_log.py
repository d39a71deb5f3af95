"""Logs each HTTP call at DEBUG, by the logger ``rh_async.calls``.

A line is ``rh_async.call METHOD PATH STATUS MILLISECONDS``, with an error's class in place of the status if no response
came. The path is without its query, which may hold a signature; headers and bodies are never logged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from attrs import define

from rh_async._printable import one_line

log = logging.getLogger("rh_async.calls")


@define
class CallLogEntry:
    """What is logged of one call.

    :ivar status: of its response; 0 until there is one.
    """

    status: int = 0


@contextmanager
def log_call(method: str, path: str) -> Iterator[CallLogEntry]:
    """Log a call when the body ends, whether or not it raises.

    :param path: of an API call; the origin of a link. What follows a ``?`` is not logged.
    """
    entry, began, failure = CallLogEntry(), anyio.current_time(), ""
    try:
        yield entry
    except BaseException as error:
        failure = type(error).__name__
        raise
    finally:
        if log.isEnabledFor(logging.DEBUG):
            spent = (anyio.current_time() - began) * 1000.0
            plain = one_line(path.partition("?")[0], longest=300)
            log.debug("rh_async.call %s %s %s %.0f ms", method, plain, failure or entry.status, spent)
