"""How a fault shows on the wire: each kind in a few lines, given the honest answer where there is one."""

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
from rh_async.emulator.http.bearer_auth import TASK_ID
from rh_async.emulator.http.file_handlers import FileAnswer
from rh_async.emulator.http.payloads import ERROR_MESSAGES, Json, RequestRejected, counts
from rh_async.emulator.state.signed_urls import UrlSigner

_BLOCK = 1 << 20
_TRICKLE = 16  #: pieces of a slow answer
_GHOST = "2019324151986266999"  #: the fixture's task id, far above any that is drawn
_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr>nginx</body></html>"


@frozen
class FaultContext:
    """What a fault has to work with.

    :param refusal: the shape in which this route refuses.
    :param links: makes another link that works.
    :param plan: remembers, and draws, what a fault needs.
    :param stopping: set when the server stops.
    """

    request: web.Request
    fault: Fault
    refusal: Callable[[RequestRejected], Json]
    links: UrlSigner
    plan: FaultInjector
    stopping: asyncio.Event


Answer = web.StreamResponse | None


async def respond_with_fault(context: FaultContext, answer: Answer) -> web.StreamResponse:
    """Answer as the fault has it; ``answer`` is the honest one, None when the request was not carried out."""
    return await _KINDS[context.fault.kind](context, answer)


async def _drop(context: FaultContext, _answer: Answer) -> web.StreamResponse:
    if context.request.transport is not None:
        context.request.transport.abort()
    return web.Response(status=444)  # as nginx writes down what it never sent


async def _drop_midway(context: FaultContext, answer: Answer) -> web.StreamResponse:
    content = await _content(answer)
    stream = await _open(context, answer, len(content))
    await stream.write(content[: len(content) // 2])
    await _drop(context, answer)
    return stream


async def _hang(context: FaultContext, answer: Answer) -> web.StreamResponse:
    await context.stopping.wait()
    return await _drop(context, answer)


async def _redirect(context: FaultContext, _answer: Answer) -> web.StreamResponse:
    return web.Response(status=context.fault.status, headers={"Location": "/openapi/v2/elsewhere/model"})


async def _page(context: FaultContext, _answer: Answer) -> web.StreamResponse:
    response = web.Response(status=context.fault.status, content_type="text/html")
    response.text = _PAGE.format(f"{response.status} {response.reason}")
    return response


async def _too_many(context: FaultContext, _answer: Answer) -> web.StreamResponse:
    after = context.fault.retry_after
    headers = {} if after is None else {"Retry-After": str(after)}
    return web.Response(status=context.fault.status, text="Too Many Requests", headers=headers)


async def _server_error(context: FaultContext, _answer: Answer) -> web.StreamResponse:
    fault = context.fault
    body: Json = {"status": fault.status, "error": "Service Unavailable", "path": context.request.path}
    if fault.code is not None:
        body = _refusal(context)
    return web.json_response(body, status=fault.status)


async def _unreadable(_scene: FaultContext, answer: Answer) -> web.StreamResponse:
    content = await _content(answer)
    return web.Response(body=content[: len(content) // 2] + b"\xff", content_type="application/json")


async def _empty(_scene: FaultContext, _answer: Answer) -> web.StreamResponse:
    return web.Response(body=b"", content_type="application/json")


async def _oversized(context: FaultContext, answer: Answer) -> web.StreamResponse:
    stream = await _open(context, answer, None)
    for _ in range(0, context.fault.size, _BLOCK):
        await stream.write(b" " * _BLOCK)
    await stream.write(await _content(answer))
    return stream


async def _slow(context: FaultContext, answer: Answer) -> web.StreamResponse:
    content = await _content(answer)
    stream = await _open(context, answer, len(content))
    piece = -(-len(content) // _TRICKLE) or 1
    for start in range(0, len(content), piece):
        await asyncio.sleep(context.fault.seconds / _TRICKLE)
        await stream.write(content[start : start + piece])
    return stream


async def _code(context: FaultContext, _answer: Answer) -> web.StreamResponse:
    return web.json_response(_refusal(context))


async def _with_task(context: FaultContext, answer: Answer) -> web.StreamResponse:
    accepted: Json = json.loads(await _content(answer))
    return _named(context, accepted["taskId"]) if accepted["taskId"] else web.json_response(accepted)


async def _with_ghost(context: FaultContext, _answer: Answer) -> web.StreamResponse:
    return _named(context, _GHOST)


async def _other_sha(_scene: FaultContext, answer: Answer) -> web.StreamResponse:
    content = await _content(answer)
    data: Json = json.loads(content).get("data") or {}
    name = data.get("fileName") or data.get("filename") or ""
    sha = name.removeprefix("openapi/").partition(".")[0]
    other = hashlib.sha256(sha.encode()).hexdigest()
    return web.Response(body=content.replace(sha.encode(), other.encode()), content_type="application/json")


async def _expired(context: FaultContext, _answer: Answer) -> web.StreamResponse:
    text = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    return web.Response(status=context.fault.status, text=text, content_type="application/xml")


async def _redirected(context: FaultContext, _answer: Answer) -> web.StreamResponse:
    return web.Response(status=context.fault.status, headers={"Location": context.links.sign(context.request.path)})


async def _frozen_counts(context: FaultContext, answer: Answer) -> web.StreamResponse:
    told: Json = json.loads(await _content(answer))
    if data := told["data"]:
        running, queued = int(data["runningCount"]), int(data["queuedCount"])
        data |= counts(*context.plan.frozen_counts(context.fault, running, queued))
    return web.json_response(told)


async def _random_counts(context: FaultContext, answer: Answer) -> web.StreamResponse:
    told: Json = json.loads(await _content(answer))
    if data := told["data"]:
        data |= counts(*context.plan.random_counts(data["concurrentLimit"]))
    return web.json_response(told)


_KINDS: Mapping[str, Callable[[FaultContext, Answer], Awaitable[web.StreamResponse]]] = MappingProxyType(
    {
        "drop_before_body": _drop,
        "drop_after_accept": _drop,
        "drop_mid_response": _drop_midway,
        "hang": _hang,
        "redirect_307": _redirect,
        "gateway_502": _page,
        "http_429": _too_many,
        "json_5xx": _server_error,
        "invalid_body": _unreadable,
        "empty_body": _empty,
        "oversized_body": _oversized,
        "slow_response": _slow,
        "error_code": _code,
        "error_with_task": _with_task,
        "error_with_unknown_task": _with_ghost,
        "wrong_file_name": _other_sha,
        "truncated_file": _drop_midway,
        "expired_link": _expired,
        "redirected_link": _redirected,
        "frozen_counters": _frozen_counts,
        "random_counters": _random_counts,
    }
)


def _refusal(context: FaultContext) -> Json:
    """Refuse as this route does, with the code and the word that the fault wants."""
    fault = context.fault
    code = fault.code or "0"
    body = context.refusal(RequestRejected(code, fault.message or "", task_id=context.request.get(TASK_ID, "")))
    name = "errorCode" if "errorCode" in body else "code"
    if fault.code_type is not None:
        body[name] = {"str": code, "int": int(code), "null": None}[fault.code_type]
    if "status" in body:
        body["status"] = fault.task_status
    return body


def _named(context: FaultContext, task_id: str) -> web.Response:
    """Refuse in the short shape that has been seen with a task id."""
    fault = context.fault
    code = fault.code or ""
    message = fault.message or ERROR_MESSAGES.get(code, "")
    return web.json_response(
        {"taskId": task_id, "status": fault.task_status or "RUNNING", "errorCode": code, "errorMessage": message}
    )


async def _content(answer: Answer) -> bytes:
    if isinstance(answer, FileAnswer):
        return await asyncio.to_thread(answer.path.read_bytes)
    return answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b""


async def _open(context: FaultContext, answer: Answer, length: int | None) -> web.StreamResponse:
    stream = web.StreamResponse(
        headers={"Content-Type": "video/mp4" if isinstance(answer, FileAnswer) else "application/json"}
    )
    stream.content_length = length
    await stream.prepare(context.request)
    return stream
