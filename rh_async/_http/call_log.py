"""Logs each HTTP call at DEBUG, by the logger ``rh_async.calls``.

A line is ``rh_async.call METHOD PATH STATUS MILLISECONDS``; an error's class stands in the status's place if no answer
came. The path is without its query, which may hold a signature; headers and bodies are never written.
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
class LoggedCall:
    """One call that is being logged.

    :ivar status: of its answer; 0 until there is one.
    """

    status: int = 0


@contextmanager
def logged(method: str, path: str) -> Iterator[LoggedCall]:
    """Log a call when the body ends, however it does.

    :param path: of an API call; host and path of a link. What follows a ``?`` is not written.
    """
    call, began, failure = LoggedCall(), anyio.current_time(), ""
    try:
        yield call
    except BaseException as error:
        failure = type(error).__name__
        raise
    finally:
        if log.isEnabledFor(logging.DEBUG):
            spent = (anyio.current_time() - began) * 1000.0
            plain = one_line(path.partition("?")[0], longest=300)
            log.debug("rh_async.call %s %s %s %.0f ms", method, plain, failure or call.status, spent)
