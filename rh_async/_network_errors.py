"""Names what goes wrong on the network, and proves whether a request's headers left this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import aiohttp
from aiohttp import TraceConfig
from attrs import define
from multidict import CIMultiDict, CIMultiDictProxy

from . import errors
from ._files import is_shortage

_UNCONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ValueError)


@define
class Sent:
    """Whether a request's headers left: the one proof that it may have arrived, which no exception class gives."""

    tell: Callable[[], None]
    sent: bool = False


def sent_trace() -> TraceConfig:
    async def note(_: object, context: SimpleNamespace, __: object) -> None:
        if isinstance(sent := context.trace_request_ctx, Sent):
            sent.sent = True
            sent.tell()

    trace = TraceConfig()
    trace.on_request_headers_sent.append(note)
    return trace


@contextmanager
def translated(phase: str, sent: Callable[[], bool] | None = None) -> Iterator[None]:
    """Name what went wrong.

    :param sent: proves whether the headers left; None for what costs nothing, where a guess from the error will do.
    """
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not is_shortage(error):
            raise
        # ValueError: what aiohttp and the resolver raise over addresses and headers that nobody could use.
        left = not isinstance(error, _UNCONNECTED) if sent is None else sent()
        _forget_secrets(error)
        raise _translation(error, phase, left) from error


def _translation(error: Exception, phase: str, sent: bool) -> errors.TransportError:
    words = _words(error)
    if sent:
        return errors.NoAnswer(f"{phase}: no whole answer came back ({words})", phase=phase)
    # Neither a certificate nor a malformed address gets better by itself.
    hopeless = isinstance(error, aiohttp.ClientSSLError | ValueError)
    return errors.NeverArrived(f"{phase}: the server was not reached ({words})", phase=phase, retryable=not hopeless)


def _forget_secrets(error: Exception) -> None:
    """Take out of an answer's error what was sent: aiohttp keeps the API key and a link's signature in it."""
    if isinstance(error, aiohttp.ClientResponseError):
        sent = error.request_info
        place = sent.real_url.origin()
        error.request_info = aiohttp.RequestInfo(place, sent.method, CIMultiDictProxy(CIMultiDict()), place)
        error.args = (error.request_info, error.history)


def _words(error: Exception) -> str:
    """What went wrong, without what an exception's own text may hold: a proxy's password, a link's signature."""
    if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL):
        return type(error).__name__
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{type(error).__name__}: HTTP {error.status} {error.message}"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
