"""Builds the calls that are not about a task (uploads, account, queue counters), and decodes what comes back.

Calls about a task belong to its family (`task_family`). No I/O and no clock: functions from data to data. A response
that cannot be read is an error of our tree, never another.
"""

from __future__ import annotations

from attrs import frozen

from rh_async import errors
from rh_async.types import Account, TaskId

from .error_codes import CHINA_SITE, GLOBAL_SITE
from .response_body import json_bytes, read_envelope
from .wire import ApiCall, ApiResponse, Route, amount, json_object, number, text

CURRENCIES = {GLOBAL_SITE: "USD", CHINA_SITE: "CNY"}
"""By site (contract 10)."""


@frozen(kw_only=True)
class UploadResponse:
    """What the server says of an upload (contract 5.1)."""

    file_name: str
    url: str


def encode_upload() -> ApiCall:
    """Build the call that takes a file, as one multipart part named ``file`` (contract 5.1)."""
    return ApiCall(route=Route.UPLOAD, method="POST", path="/openapi/v2/media/upload/binary")


def decode_upload(response: ApiResponse) -> UploadResponse:
    """Read the response to an upload, in either documented shape (contract 5.1).

    :raises ApiError: the upload was refused.
    :raises InvalidResponse: the response cannot be read.
    """
    data = read_envelope(response, Route.UPLOAD).data
    file_name = text(data.get("fileName")) or text(data.get("filename"))
    url = text(data.get("download_url"))
    if not file_name or not url:
        raise errors.InvalidResponse("the upload's answer names no file", body=response.body, phase="upload")
    return UploadResponse(file_name=file_name, url=url)


def encode_account(api_key: str) -> ApiCall:
    """Build the call for the wallet (contract 6). This one call spells the key's field in lower case (contract 1.2)."""
    body = json_bytes({"apikey": api_key})
    return ApiCall(route=Route.ACCOUNT, method="POST", path="/uc/openapi/accountStatus", body=body)


def decode_account(response: ApiResponse) -> Account:
    """Read what is in the wallet (contract 6).

    :raises RHError: the call was refused, or the response cannot be read.
    """
    data = read_envelope(response, Route.ACCOUNT).data
    return Account(
        key_type=text(data.get("apiType")) or None,
        running=_count(data.get("currentTaskCounts")),
        money=number(data.get("remainMoney")),
        currency=text(data.get("currency")) or None,
        coins=number(data.get("remainCoins")),
    )


def encode_queue_status() -> ApiCall:
    """Build the call for the account's queue counters and its concurrency limit (contract 9)."""
    return ApiCall(route=Route.ACCOUNT, method="GET", path="/openapi/v2/queue/status")


def decode_queue_status(response: ApiResponse) -> Account:
    """Read the queue counters, which come as text, and the limit, which comes as a number (contract 9).

    :raises RHError: the call was refused, or the response cannot be read.
    """
    data = read_envelope(response, Route.ACCOUNT).data
    return Account(
        key_type=text(data.get("apiKeyType")) or None,
        limit=_count(data.get("concurrentLimit")),
        running=_count(data.get("runningCount")),
        queued=_count(data.get("queuedCount")),
    )


def _count(value: object) -> int | None:
    counted = amount(value)
    return None if counted is None else int(counted)


def decode_webhook(body: bytes) -> TaskId | None:
    """Read which task a webhook is about, in either shape (contract 7); None if the body is no webhook's.

    Nothing else is read: webhooks are not signed, so the task's status is queried instead of believed.
    """
    event = json_object(body)
    return TaskId(text(event.get("taskId"))) or None if event and event.get("event") == "TASK_END" else None


def download_error(status: int, content_type: str, kind: str) -> errors.RHError | None:
    """Return what is wrong with the response to a download; None where the file follows.

    :param kind: of the output: a page in the place of a video comes from a captive portal or a gateway.
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
