"""Reads a response of the API: its status, its body up to a limit, and for how long it asks to wait."""

from __future__ import annotations

import aiohttp
from aiohttp import hdrs

from rh_async._api.wire import ApiResponse

_MAX_PAUSE = 3600.0  # seconds: a server that asks for a longer pause is called again after this one
_MAX_RESPONSE = 4 * 1024 * 1024  # bytes: no documented response comes near; the rest of a larger one is not read


async def read_response(response: aiohttp.ClientResponse) -> ApiResponse:
    """Read a response; what goes beyond the limit is left unread, and its connection is closed."""
    body = await response.content.readany()
    while not response.content.at_eof() and len(body) < _MAX_RESPONSE:
        body += await response.content.readany()
    if len(body) >= _MAX_RESPONSE:
        response.close()
    return ApiResponse(status=response.status, body=body, retry_after=_parse_retry_after(response))


def _parse_retry_after(response: aiohttp.ClientResponse) -> float | None:
    # The date form is not read: no RunningHub response with any form was ever captured (contract 12.14).
    header = response.headers.get(hdrs.RETRY_AFTER)
    if header is None or not header.isascii() or not header.isdigit():
        return None
    return min(float(header), _MAX_PAUSE)
