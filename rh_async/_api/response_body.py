"""Reads the JSON body of a response, in the shapes that all routes share, or raises the error that it stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rh_async import errors
from rh_async.types import TaskId

from .error_codes import ERROR_CODES, api_error, http_error, is_final
from .wire import ApiResponse, ResponseBody, Route, json_object, parse_body


def json_bytes(body: Mapping[str, Any]) -> bytes:
    """Write a body as JSON."""
    # Escaped to ASCII, so that not even half a surrogate pair, which a server may put into an id, breaks a call.
    return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()


def read_body(response: ApiResponse, route: Route) -> ResponseBody:
    """Read the body, or raise what the HTTP status means where the body says nothing.

    :raises RHError: the call was refused, or the body cannot be read.
    """
    json_body = json_object(response.body)
    body = parse_body(json_body)
    if 200 <= response.status < 300:
        if json_body is None:
            raise errors.InvalidResponse("the answer is not a JSON object", body=response.body, phase=route.value)
        return body
    if body.refusal and _is_api_error(body.refusal, response.status):
        raise api_error(body.refusal, body.error_text, route, response=response, task_id=TaskId(body.task_id))
    raise http_error(response, route, TaskId(body.task_id))


def read_envelope(response: ApiResponse, route: Route) -> ResponseBody:
    """Read a body that wraps its data beside a code (contract 0.1).

    :raises RHError: the call was refused, or the body cannot be read.
    """
    body = read_body(response, route)
    if body.refusal:
        raise api_error(body.refusal, body.error_text, route, response=response)
    if not body.code:
        raise errors.InvalidResponse("the answer names no code", body=response.body, phase=route.value)
    return body


def _is_api_error(code: str, status: int) -> bool:
    """Whether a code beside an HTTP error says more than that error: other servers write codes into a 404, too."""
    if status == 404:
        return code in ERROR_CODES and code not in {"401", "403", "500"}
    return status != 429 or is_final(code)
