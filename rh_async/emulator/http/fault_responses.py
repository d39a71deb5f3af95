"""Responds to a request as a fault demands: one short function per kind of fault."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from aiohttp import web
from attrs import frozen

from rh_async.emulator.faults.definitions import Fault
from rh_async.emulator.faults.injector import FaultInjector
from rh_async.emulator.http.file_handlers import FileDownload
from rh_async.emulator.http.payloads import Json, counter_payload
from rh_async.emulator.http.request_context import TASK_ID
from rh_async.emulator.state.rejections import ERROR_MESSAGES, RequestRejected
from rh_async.emulator.state.signed_urls import UrlSigner

_BLOCK = 1 << 20
_SLOW_PIECES = 16  #: into which a slow response is cut
_UNKNOWN_TASK_ID = "2019324151986266999"  #: of a recorded response, far above every id that the emulator draws
_HTML_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr>nginx</body></html>"

NormalResponse = web.StreamResponse | None
"""The response without the fault; None if the request was not executed."""


@frozen
class FaultContext:
    """What a fault needs for its response.

    :param error_payload: builds an error in the route's own shape.
    :param stopping: set when the server stops.
    """

    request: web.Request
    fault: Fault
    error_payload: Callable[[RequestRejected], Json]
    url_signer: UrlSigner
    injector: FaultInjector
    stopping: asyncio.Event


async def respond_with_fault(context: FaultContext, normal: NormalResponse) -> web.StreamResponse:
    """Respond as the fault demands, given the response without it."""
    return await _RESPONDERS[context.fault.kind](context, normal)


async def _drop_connection(context: FaultContext, _normal: NormalResponse) -> web.StreamResponse:
    if context.request.transport is not None:
        context.request.transport.abort()
    return web.Response(status=444)  # nginx's status for "closed without a response"; it is never sent


async def _drop_midway(context: FaultContext, normal: NormalResponse) -> web.StreamResponse:
    content = await _read_content(normal)
    stream = await _start_stream(context, normal, len(content))
    await stream.write(content[: len(content) // 2])
    await _drop_connection(context, normal)
    return stream


async def _hang(context: FaultContext, normal: NormalResponse) -> web.StreamResponse:
    await context.stopping.wait()
    return await _drop_connection(context, normal)


async def _redirect_submit(context: FaultContext, _normal: NormalResponse) -> web.StreamResponse:
    # The target accepts submits, so that a client which follows the redirect of a POST submits twice.
    return web.Response(status=context.fault.status, headers={"Location": "/openapi/v2/elsewhere/model"})


async def _html_page(context: FaultContext, _normal: NormalResponse) -> web.StreamResponse:
    response = web.Response(status=context.fault.status, content_type="text/html")
    response.text = _HTML_PAGE.format(f"{response.status} {response.reason}")
    return response


async def _too_many_requests(context: FaultContext, _normal: NormalResponse) -> web.StreamResponse:
    after = context.fault.retry_after
    headers = {} if after is None else {"Retry-After": str(after)}
    return web.Response(status=context.fault.status, text="Too Many Requests", headers=headers)


async def _json_server_error(context: FaultContext, _normal: NormalResponse) -> web.StreamResponse:
    fault = context.fault
    body: Json = {"status": fault.status, "error": "Service Unavailable", "path": context.request.path}
    if fault.code is not None:
        body = _error_payload(context)
    return web.json_response(body, status=fault.status)


async def _invalid_body(_context: FaultContext, normal: NormalResponse) -> web.StreamResponse:
    content = await _read_content(normal)
    return web.Response(body=content[: len(content) // 2] + b"\xff", content_type="application/json")


async def _empty_body(_context: FaultContext, _normal: NormalResponse) -> web.StreamResponse:
    return web.Response(body=b"", content_type="application/json")


async def _oversized_body(context: FaultContext, normal: NormalResponse) -> web.StreamResponse:
    stream = await _start_stream(context, normal, None)
    for _ in range(0, context.fault.size, _BLOCK):
        await stream.write(b" " * _BLOCK)
    await stream.write(await _read_content(normal))
    return stream


async def _slow_response(context: FaultContext, normal: NormalResponse) -> web.StreamResponse:
    content = await _read_content(normal)
    stream = await _start_stream(context, normal, len(content))
    piece = -(-len(content) // _SLOW_PIECES) or 1
    for start in range(0, len(content), piece):
        await asyncio.sleep(context.fault.seconds / _SLOW_PIECES)
        await stream.write(content[start : start + piece])
    return stream


async def _error_code(context: FaultContext, _normal: NormalResponse) -> web.StreamResponse:
    return web.json_response(_error_payload(context))


async def _error_with_task(context: FaultContext, normal: NormalResponse) -> web.StreamResponse:
    accepted: Json = json.loads(await _read_content(normal))
    return _error_about(context, accepted["taskId"]) if accepted["taskId"] else web.json_response(accepted)


async def _error_with_unknown_task(context: FaultContext, _normal: NormalResponse) -> web.StreamResponse:
    return _error_about(context, _UNKNOWN_TASK_ID)


async def _wrong_file_name(_context: FaultContext, normal: NormalResponse) -> web.StreamResponse:
    content = await _read_content(normal)
    data: Json = json.loads(content).get("data") or {}
    name = data.get("fileName") or data.get("filename") or ""
    sha256 = name.removeprefix("openapi/").partition(".")[0]
    other = hashlib.sha256(sha256.encode()).hexdigest()
    return web.Response(body=content.replace(sha256.encode(), other.encode()), content_type="application/json")


async def _expired_link(context: FaultContext, _normal: NormalResponse) -> web.StreamResponse:
    text = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    return web.Response(status=context.fault.status, text=text, content_type="application/xml")


async def _redirected_link(context: FaultContext, _normal: NormalResponse) -> web.StreamResponse:
    location = context.url_signer.sign(context.request.path)
    return web.Response(status=context.fault.status, headers={"Location": location})


async def _frozen_counters(context: FaultContext, normal: NormalResponse) -> web.StreamResponse:
    body: Json = json.loads(await _read_content(normal))
    if data := body["data"]:
        running, queued = int(data["runningCount"]), int(data["queuedCount"])
        data |= counter_payload(*context.injector.frozen_counters(context.fault, running, queued))
    return web.json_response(body)


async def _random_counters(context: FaultContext, normal: NormalResponse) -> web.StreamResponse:
    body: Json = json.loads(await _read_content(normal))
    if data := body["data"]:
        data |= counter_payload(*context.injector.random_counters(data["concurrentLimit"]))
    return web.json_response(body)


_RESPONDERS: Mapping[str, Callable[[FaultContext, NormalResponse], Awaitable[web.StreamResponse]]] = MappingProxyType(
    {
        "drop_before_body": _drop_connection,
        "drop_after_accept": _drop_connection,
        "drop_mid_response": _drop_midway,
        "hang": _hang,
        "redirect_307": _redirect_submit,
        "gateway_502": _html_page,
        "http_429": _too_many_requests,
        "json_5xx": _json_server_error,
        "invalid_body": _invalid_body,
        "empty_body": _empty_body,
        "oversized_body": _oversized_body,
        "slow_response": _slow_response,
        "error_code": _error_code,
        "error_with_task": _error_with_task,
        "error_with_unknown_task": _error_with_unknown_task,
        "wrong_file_name": _wrong_file_name,
        "truncated_file": _drop_midway,
        "expired_link": _expired_link,
        "redirected_link": _redirected_link,
        "frozen_counters": _frozen_counters,
        "random_counters": _random_counters,
    }
)


def _error_payload(context: FaultContext) -> Json:
    """Build an error in the route's own shape, with the code and the task status of the fault."""
    fault = context.fault
    code = fault.code or "0"
    body = context.error_payload(RequestRejected(code, fault.message or "", task_id=context.request.get(TASK_ID, "")))
    code_name = "errorCode" if "errorCode" in body else "code"
    if fault.code_type is not None:
        body[code_name] = {"str": code, "int": int(code), "null": None}[fault.code_type]
    if "status" in body:
        body["status"] = fault.task_status
    return body


def _error_about(context: FaultContext, task_id: str) -> web.Response:
    """Respond with the short error that was recorded with a task id in it (contract 3.2, 12.13)."""
    fault = context.fault
    code = fault.code or ""
    message = fault.message or ERROR_MESSAGES.get(code, "")
    return web.json_response(
        {"taskId": task_id, "status": fault.task_status or "RUNNING", "errorCode": code, "errorMessage": message}
    )


async def _read_content(normal: NormalResponse) -> bytes:
    if isinstance(normal, FileDownload):
        return await asyncio.to_thread(normal.path.read_bytes)
    return normal.body if isinstance(normal, web.Response) and isinstance(normal.body, bytes) else b""


async def _start_stream(context: FaultContext, normal: NormalResponse, length: int | None) -> web.StreamResponse:
    stream = web.StreamResponse(
        headers={"Content-Type": "video/mp4" if isinstance(normal, FileDownload) else "application/json"}
    )
    stream.content_length = length
    await stream.prepare(context.request)
    return stream
