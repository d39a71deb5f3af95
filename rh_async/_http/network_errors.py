"""Names what goes wrong on the network, and proves whether a request's headers left this machine."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import aiohttp
from aiohttp import TraceConfig
from attrs import define
from multidict import CIMultiDict, CIMultiDictProxy

from rh_async import errors
from rh_async._media.file_io import is_shortage

log = logging.getLogger(__name__)

# ValueError: what aiohttp and the resolver raise over addresses and headers that nobody could use.
_KNOWN = (aiohttp.ClientError, TimeoutError, OSError, ValueError, MemoryError)
_UNCONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ValueError)


@define
class HeadersSent:
    """Whether a request's headers left: the one proof that it may have arrived, which no exception class gives."""

    tell: Callable[[], None]
    also: Callable[[], None] = lambda: None
    sent: bool = False


def headers_sent_trace() -> TraceConfig:
    async def note(_: object, context: SimpleNamespace, __: object) -> None:
        if isinstance(sent := context.trace_request_ctx, HeadersSent):
            sent.sent = True
            sent.tell()
            sent.also()

    trace = TraceConfig()
    trace.on_request_headers_sent.append(note)
    return trace


@contextmanager
def translated(phase: str, sent: Callable[[], bool] | None = None) -> Iterator[None]:
    """Name what went wrong with a link of the outside world, whose requests hold no key.

    :param sent: proves whether the headers left; None for what costs nothing, where a guess from the error will do.
    """
    try:
        yield
    except Exception as error:
        failure = failure_of(error, phase, None if sent is None else sent())
        _forget_secrets(error)
        raise failure from error


def failure_of(error: Exception, phase: str, sent: bool | None) -> errors.TransportError:
    """Name what went wrong with a call: what may be waited out, and what a repeat would not mend.

    What is chained to it holds neither request headers, nor the frames they were in, nor a proxy's password.

    :param sent: whether the headers left; None for what costs nothing, where a guess from the error will do.
    """
    known = isinstance(error, _KNOWN) or is_shortage(error)
    left = not isinstance(error, _UNCONNECTED) and not is_shortage(error) if sent is None else sent
    words = _words(error) if known else f"a trace hook or a proxy's setting failed: {_words(error)}"
    if not known:
        log.warning("rh_async.call_failed %s: %s", phase, "".join(traceback.format_exception(error)))
    # Neither a certificate, nor a malformed address, nor a caller's bug gets better by itself.
    hopeless = not known or isinstance(error, aiohttp.ClientSSLError | ValueError)
    if left:
        said = f"{phase}: no whole answer came back ({words})"
        failure: errors.TransportError = errors.ResponseLost(said, phase=phase, retryable=None if known else False)
    else:
        said = f"{phase}: the server was not reached ({words})"
        failure = errors.NotSent(said, phase=phase, retryable=not hopeless)
    failure.__cause__ = _bare(error)
    return failure


def _bare(error: Exception) -> BaseException:
    """An error as it is, without what aiohttp keeps in it: the request, the connection's key, the frames of both."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return OSError(*error.os_error.args)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return aiohttp.ServerDisconnectedError()
    if isinstance(error, aiohttp.ClientError):
        return aiohttp.ClientError(_words(error))
    bare: BaseException | None = error
    while bare is not None:
        bare.__traceback__ = None
        bare = bare.__cause__ or bare.__context__
    return error


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
