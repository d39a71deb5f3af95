"""Parses the JSON body of a request, and names the values that handlers store in the request."""

from __future__ import annotations

import json

from aiohttp import web

from rh_async.emulator.http.payloads import Json
from rh_async.emulator.state.rejections import RequestRejected

TASK_ID = web.RequestKey("task_id", str)  #: the id of the task that the request is about, or has created
FAULT_KIND = web.RequestKey("fault_kind", str)  #: the kind of the fault that affects the request


async def read_json_object(request: web.Request) -> Json:
    """Read a request body that must be one JSON object.

    :raises RequestRejected: the body is something else.
    """
    return parse_json_object(request, await request.read())


def parse_json_object(request: web.Request, raw: bytes) -> Json:
    """Parse a request body that must be one JSON object.

    :raises RequestRejected: the body is something else.
    """
    if request.content_type != "application/json":
        raise RequestRejected("1007")
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise RequestRejected("1007") from error
    if not isinstance(body, dict):
        raise RequestRejected("1007")
    return body
