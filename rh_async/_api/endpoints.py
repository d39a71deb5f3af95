"""What bytes to send for a wish, and what an answer means. Every URL path and JSON key that is sent lives here.

No I/O and no clock: functions from data to data. An answer that cannot be read is an error of our tree, never another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attrs import frozen

from rh_async import errors
from rh_async.types import IN_FLIGHT, Account, Snapshot, TaskId

from .error_codes import CHINA_SITE, ERROR_CODES, GLOBAL_SITE, api_error, http_error, is_final, may_have_created_task
from .wire import ApiCall, ApiResponse, ResponseBody, Route, amount, json_object, number, parse_body, text

CURRENCIES = {GLOBAL_SITE: "USD", CHINA_SITE: "CNY"}
"""By site (contract 10)."""


_LONGEST_ID = 200  # characters; all that were seen have 19


@frozen(kw_only=True)
class UploadResponse:
    """What the server says of an upload (contract 5.1)."""

    file_name: str
    url: str


@frozen
class PriceQuote:
    """What the server says that a request would cost (contract 6)."""

    amount: Decimal
    currency: str


def encode_submit(endpoint: str, body: Mapping[str, Any]) -> ApiCall:
    """Buy a job (contract 3)."""
    return ApiCall(route=Route.SUBMIT, method="POST", path=f"/openapi/v2/{endpoint}", body=_json(body))


def encode_query(task_id: TaskId) -> ApiCall:
    """Ask about one job (contract 4); there is no way to ask about several at once (contract 4.4)."""
    # Written as JSON would be, where the id needs no escaping: most calls are this one.
    plain = task_id.isalnum() and task_id.isascii()
    body = b'{"taskId":"%b"}' % task_id.encode() if plain else _json({"taskId": task_id})
    return ApiCall(route=Route.QUERY, method="POST", path="/openapi/v2/query", body=body)


def encode_upload() -> ApiCall:
    """Where a file goes up, as one multipart part named ``file`` (contract 5.1)."""
    return ApiCall(route=Route.UPLOAD, method="POST", path="/openapi/v2/media/upload/binary")


def encode_account(api_key: str) -> ApiCall:
    """Ask what is in the wallet (contract 6). This one call spells the key's field in lower case (contract 1.2)."""
    body = _json({"apikey": api_key})
    return ApiCall(route=Route.ACCOUNT, method="POST", path="/uc/openapi/accountStatus", body=body)


def encode_queue_status() -> ApiCall:
    """Ask how many tasks the account has and may have (contract 9)."""
    return ApiCall(route=Route.ACCOUNT, method="GET", path="/openapi/v2/queue/status")


def encode_cancel(api_key: str, task_id: TaskId) -> ApiCall:
    """Ask that a task be stopped; only the v1 family can (contract 6)."""
    body = _json({"apiKey": api_key, "taskId": task_id})
    return ApiCall(route=Route.CANCEL, method="POST", path="/task/openapi/cancel", body=body)


def encode_price(endpoint: str, body: Mapping[str, Any]) -> ApiCall:
    """Ask what a submit of the same body would cost; it buys nothing (contract 6)."""
    return ApiCall(route=Route.PRICE, method="POST", path=f"/openapi/v2/price-preview/{endpoint}", body=_json(body))


def _json(body: Mapping[str, Any]) -> bytes:
    # Escaped to ASCII, so that not even half a surrogate pair, which a server may put into an id, breaks a call.
    return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()


def decode_submit(answer: ApiResponse, *, currency: str | None = None) -> Snapshot:
    """Read the answer to a submit: the error code before the task id, and that before the status (contract 0.3).

    :raises SubmitUnknown: it cannot be known whether a job was bought.
    :raises ApiError: it was refused; its ``retryable`` tells whether it may be repeated. One that carries a task id is
        to be asked about before it is believed.
    """
    try:
        return _accepted(answer, currency)
    except (errors.InvalidResponse, errors.ApiError) as error:
        if may_have_created_task(error, answer.status):
            raise submit_unknown(error) from error
        raise


def _accepted(answer: ApiResponse, currency: str | None) -> Snapshot:
    wire = _read(answer, Route.SUBMIT)
    if len(wire.task_id) > _LONGEST_ID or not wire.task_id.isprintable() or "\ufffd" in wire.task_id:
        words = "the answer names a task by what is no id, which nobody can ask about"
        raise errors.InvalidResponse(words, body=answer.body, phase=Route.SUBMIT.value)
    if wire.refusal:
        raise api_error(wire.refusal, wire.words, Route.SUBMIT, response=answer, task_id=TaskId(wire.task_id))
    if not wire.task_id:
        raise errors.InvalidResponse("the answer names no task", body=answer.body, phase=Route.SUBMIT.value)
    return wire.snapshot(TaskId(wire.task_id), answer.body, currency)


def submit_unknown(error: errors.RHError) -> errors.SubmitUnknown:
    """What an ambiguous end of a submit is called."""
    return errors.SubmitUnknown(
        f"nobody knows whether the submit was accepted: {error.message}",
        phase=Route.SUBMIT.value,
        code=error.code,
        task_id=error.task_id,
    )


def decode_query(answer: ApiResponse, task_id: TaskId, *, currency: str | None = None) -> Snapshot:
    """Read the answer to a query: here the status decides (contract 4.1, 4.3).

    :raises ApiError: a fault of the question, not of the job.
    :raises InvalidResponse: nobody can read it.
    """
    if (running := _still_running(answer, task_id)) is not None:
        return running
    wire = _read(answer, Route.QUERY)
    snapshot = wire.snapshot(task_id, answer.body, currency)
    if wire.refusal and not snapshot.settled:
        raise api_error(wire.refusal, wire.words, Route.QUERY, response=answer, task_id=task_id)
    if not wire.status or wire.task_id not in {"", task_id}:
        raise errors.InvalidResponse("the answer is not about this task", body=answer.body, phase=Route.QUERY.value)
    return snapshot


def _still_running(answer: ApiResponse, task_id: TaskId) -> Snapshot | None:
    """The answer that nearly every query gets, read at a glance: in flight, and nothing else. None for any other."""
    body = json_object(answer.body) if answer.status == 200 else None
    status = body.get("status") if body is not None and body.get("taskId") == task_id else None
    if body is None or not isinstance(status, str) or status not in IN_FLIGHT:
        return None
    news = body.get("errorCode") or body.get("code") or body.get("errorMessage") or body.get("results")
    return None if news or body.get("usage") else Snapshot(task_id=task_id, status=status)


def decode_upload(answer: ApiResponse) -> UploadResponse:
    """Read the answer to an upload, in either documented shape (contract 5.1).

    :raises ApiError: it was refused.
    :raises InvalidResponse: nobody can read it.
    """
    wire = _read_envelope(answer, Route.UPLOAD)
    file_name = text(wire.data.get("fileName")) or text(wire.data.get("filename"))
    url = text(wire.data.get("download_url"))
    if not file_name or not url:
        raise errors.InvalidResponse("the upload's answer names no file", body=answer.body, phase="upload")
    return UploadResponse(file_name=file_name, url=url)


def decode_account(answer: ApiResponse) -> Account:
    """Read what is in the wallet.

    :raises RHError: it was refused, or nobody can read it.
    """
    data = _read_envelope(answer, Route.ACCOUNT).data
    return Account(
        key_type=text(data.get("apiType")) or None,
        running=_count(data.get("currentTaskCounts")),
        money=number(data.get("remainMoney")),
        currency=text(data.get("currency")) or None,
        coins=number(data.get("remainCoins")),
    )


def decode_queue_status(answer: ApiResponse) -> Account:
    """Read how many tasks the account has and may have; counts come as text, the limit as a number.

    :raises RHError: it was refused, or nobody can read it.
    """
    data = _read_envelope(answer, Route.ACCOUNT).data
    return Account(
        key_type=text(data.get("apiKeyType")) or None,
        limit=_count(data.get("concurrentLimit")),
        running=_count(data.get("runningCount")),
        queued=_count(data.get("queuedCount")),
    )


def decode_price(answer: ApiResponse) -> PriceQuote:
    """Read what a request would cost.

    :raises RHError: it was refused, or nobody can read it.
    """
    wire = _read(answer, Route.PRICE)
    if wire.refusal:
        raise api_error(wire.refusal, wire.words, Route.PRICE, response=answer)
    body = json_object(answer.body) or {}
    price, currency = amount(body.get("estimatedPrice")), text(body.get("currency"))
    if price is None or not currency:
        raise errors.InvalidResponse("the answer names no price", body=answer.body, phase=Route.PRICE.value)
    return PriceQuote(price, currency)


def decode_cancel(answer: ApiResponse) -> bool:
    """Whether the task was stopped; if not, it was over already (contract 6).

    :raises RHError: it was refused, or nobody can read it.
    """
    try:
        _read_envelope(answer, Route.CANCEL)
    except errors.ApiError as error:
        if error.code not in _ALREADY_OVER:
            raise
        return False
    return True


def decode_webhook(body: bytes) -> TaskId | None:
    """Which task a webhook's delivery is about, in either shape (contract 7); None if it is no delivery.

    Whatever else it says is not read: deliveries are unsigned, the truth is asked.
    """
    delivery = json_object(body)
    return TaskId(text(delivery.get("taskId"))) or None if delivery and delivery.get("event") == "TASK_END" else None


def _count(value: object) -> int | None:
    counted = amount(value)
    return None if counted is None else int(counted)


def _read_envelope(answer: ApiResponse, route: Route) -> ResponseBody:
    wire = _read(answer, route)
    if wire.refusal:
        raise api_error(wire.refusal, wire.words, route, response=answer)
    if not wire.code:
        raise errors.InvalidResponse("the answer names no code", body=answer.body, phase=route.value)
    return wire


# Not cancellable any more, and three ways of not knowing the task.
_ALREADY_OVER = frozenset({"817", "807", "423", "1004"})


def download_error(status: int, content_type: str, kind: str) -> errors.RHError | None:
    """What is wrong with the answer of a result's link; None where the file follows.

    :param kind: of the output: a page in the place of a video is somebody else's answer, a portal's or a gateway's.
    """
    words, code = f"the link answered HTTP {status}", f"HTTP {status}"
    if status in {400, 401, 403, 404, 410}:  # CDNs differ over a signature that is too old
        return errors.NotFound(f"{words}: it has expired or is gone", phase="download", code=code)
    if status != 200:
        later = status in {408, 425, 429} or status >= 500
        return errors.ApiError(words, phase="download", code=code, retryable=later)
    if content_type in _PAGES and kind not in _PAGES[content_type]:
        return errors.InvalidResponse(f"the link answered {content_type} in place of {kind}", phase="download")
    return None


_XML = {"xml", "svg", "dae", ""}
_PAGES = {
    "text/html": {"html", "htm", ""},
    "application/xhtml+xml": {"html", "htm", ""},
    "application/json": {"json", "gltf", ""},
    "application/xml": _XML,
    "text/xml": _XML,
}


def _read(answer: ApiResponse, route: Route) -> ResponseBody:
    """Read the body, or say what the HTTP status means where the body says nothing."""
    body = json_object(answer.body)
    wire = parse_body(body)
    if 200 <= answer.status < 300:
        if body is None:
            raise errors.InvalidResponse("the answer is not a JSON object", body=answer.body, phase=route.value)
        return wire
    if wire.refusal and _is_api_error(wire.refusal, answer.status):
        raise api_error(wire.refusal, wire.words, route, response=answer, task_id=TaskId(wire.task_id))
    raise http_error(answer, route, TaskId(wire.task_id))


def _is_api_error(code: str, status: int) -> bool:
    """Whether a code beside an HTTP error says more than that error: other servers write codes into a 404, too."""
    if status == 404:
        return code in ERROR_CODES and code not in {"401", "403", "500"}
    return status != 429 or is_final(code)
