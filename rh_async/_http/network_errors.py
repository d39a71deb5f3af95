"""Translates network errors, and proves whether a request's headers left this machine."""

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

# ValueError: what aiohttp and the resolver raise for malformed addresses and headers.
_KNOWN = (aiohttp.ClientError, TimeoutError, OSError, ValueError, MemoryError)
_UNCONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ValueError)


@define
class HeadersSent:
    """Whether a request's headers have left: the only proof that the server may have acted on it.

    No exception class proves it: a connection error may come before the headers or after them. A paid submit without a
    response is repeated only if ``sent`` is False.

    :param on_sent: called when they leave.
    :param restart_timer: likewise: from now on the response is waited for.
    """

    on_sent: Callable[[], None]
    restart_timer: Callable[[], None] = lambda: None
    sent: bool = False


def headers_sent_trace() -> TraceConfig:
    """Make the aiohttp trace hook that marks a `HeadersSent`."""

    async def note(_: object, context: SimpleNamespace, __: object) -> None:
        if isinstance(sent := context.trace_request_ctx, HeadersSent):
            sent.sent = True
            sent.on_sent()
            sent.restart_timer()

    trace = TraceConfig()
    trace.on_request_headers_sent.append(note)
    return trace


@contextmanager
def translate_errors(phase: str, sent: Callable[[], bool] | None = None) -> Iterator[None]:
    """Translate the errors of a link outside the API, whose requests hold no key.

    :param sent: proves whether the headers have left; None for a free call, where a guess from the error is enough.
    """
    try:
        yield
    except Exception as error:
        failure = translate(error, phase, None if sent is None else sent())
        _remove_request(error)
        raise failure from error


def translate(error: Exception, phase: str, sent: bool | None) -> errors.TransportError:
    """Translate an error of a call: whether it was sent, and whether a repeat may help.

    The chained cause holds neither request headers, nor the frames that held them, nor a proxy's password.

    :param sent: whether the headers have left; None for a free call, where a guess from the error is enough.
    """
    known = isinstance(error, _KNOWN) or is_shortage(error)
    left = not isinstance(error, _UNCONNECTED) and not is_shortage(error) if sent is None else sent
    reason = _describe(error) if known else f"a trace hook or a proxy's setting failed: {_describe(error)}"
    if not known:
        log.warning("rh_async.call_failed %s: %s", phase, "".join(traceback.format_exception(error)))
    # A repeat helps neither a bad certificate, nor a malformed address, nor a bug in a caller's trace hook.
    permanent = not known or isinstance(error, aiohttp.ClientSSLError | ValueError)
    if left:
        message = f"{phase}: no whole answer came back ({reason})"
        failure: errors.TransportError = errors.ResponseLost(message, phase=phase, retryable=None if known else False)
    else:
        message = f"{phase}: the server was not reached ({reason})"
        failure = errors.NotSent(message, phase=phase, retryable=not permanent)
    failure.__cause__ = _without_request(error)
    return failure


def _without_request(error: Exception) -> BaseException:
    """Return the error without what aiohttp keeps in it: the request, the connection's key, and the frames of both."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return OSError(*error.os_error.args)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return aiohttp.ServerDisconnectedError()
    if isinstance(error, aiohttp.ClientError):
        return aiohttp.ClientError(_describe(error))
    bare: BaseException | None = error
    while bare is not None:
        bare.__traceback__ = None
        bare = bare.__cause__ or bare.__context__
    return error


def _remove_request(error: Exception) -> None:
    """Remove the request from a response's error: aiohttp keeps headers and a link's signature in it."""
    if isinstance(error, aiohttp.ClientResponseError):
        sent = error.request_info
        origin = sent.real_url.origin()
        error.request_info = aiohttp.RequestInfo(origin, sent.method, CIMultiDictProxy(CIMultiDict()), origin)
        error.args = (error.request_info, error.history)


def _describe(error: Exception) -> str:
    """Describe an error without its own text where that may hold a proxy's password or a link's signature."""
    if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL):
        return type(error).__name__
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{type(error).__name__}: HTTP {error.status} {error.message}"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
