"""Builds the calls about tasks of standard models, and decodes their responses (contract 3, 4, 6)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attrs import frozen

from rh_async import errors
from rh_async.types import IN_FLIGHT, Snapshot, TaskId

from .error_codes import api_error, may_have_created_task
from .response_body import json_bytes, read_body, read_envelope
from .wire import ApiCall, ApiResponse, Route, amount, json_object, text

_LONGEST_ID = 200  # characters; every id that was seen has 19 (contract 3.1)
# Not cancellable any more, and three ways of not knowing the task (contract 6).
_ALREADY_OVER = frozenset({"817", "807", "423", "1004"})


@frozen
class PriceQuote:
    """What the server says that a request would cost (contract 6)."""

    amount: Decimal
    currency: str


class StandardTasks:
    """The family of the standard models: v2 submit, query and price; a task of any family is cancelled by v1."""

    def owns(self, endpoint: str) -> bool:
        return True

    def encode_submit(self, api_key: str, endpoint: str, body: Mapping[str, Any]) -> ApiCall:
        """Build the call that creates a paid task (contract 3); the key travels in a header."""
        return ApiCall(route=Route.SUBMIT, method="POST", path=f"/openapi/v2/{endpoint}", body=json_bytes(body))

    def decode_submit(self, response: ApiResponse, *, currency: str | None = None) -> Snapshot:
        """Read the response to a submit: the error code before the task id, and that before the status (contract 0.3).

        :raises SubmitUnknown: it is unknown whether a task was created.
        :raises ApiError: the submit was refused; ``retryable`` says whether it may be repeated. If the error carries a
            task id, that task is to be queried before the refusal is believed.
        """
        try:
            return _decode_accepted(response, currency)
        except (errors.InvalidResponse, errors.ApiError) as error:
            if may_have_created_task(error, response.status):
                raise submit_unknown(error) from error
            raise

    def encode_query(self, api_key: str, task_id: TaskId) -> ApiCall:
        """Build the call that asks for one task's status; no call asks for several (contract 4, 4.4)."""
        # Written as JSON would be, where the id needs no escaping: most calls are this one.
        is_plain = task_id.isalnum() and task_id.isascii()
        body = b'{"taskId":"%b"}' % task_id.encode() if is_plain else json_bytes({"taskId": task_id})
        return ApiCall(route=Route.QUERY, method="POST", path="/openapi/v2/query", body=body)

    def decode_query(self, response: ApiResponse, task_id: TaskId, *, currency: str | None = None) -> Snapshot:
        """Read the response to a query: here the status comes before the error code (contract 4.1, 4.3).

        :raises ApiError: the query failed, not the task.
        :raises InvalidResponse: the response cannot be read.
        """
        if (in_flight := _decode_in_flight(response, task_id)) is not None:
            return in_flight
        body = read_body(response, Route.QUERY)
        snapshot = body.snapshot(task_id, response.body, currency)
        if body.refusal and not snapshot.settled:
            raise api_error(body.refusal, body.error_text, Route.QUERY, response=response, task_id=task_id)
        if not body.status or body.task_id not in {"", task_id}:
            raise errors.InvalidResponse("the answer is not about this task", body=response.body, phase="query")
        return snapshot

    def encode_cancel(self, api_key: str, task_id: TaskId) -> ApiCall:
        """Build the call that stops a task; only v1 has one (contract 6)."""
        body = json_bytes({"apiKey": api_key, "taskId": task_id})
        return ApiCall(route=Route.CANCEL, method="POST", path="/task/openapi/cancel", body=body)

    def decode_cancel(self, response: ApiResponse) -> bool:
        """Whether the task was stopped; if not, it was over already (contract 6).

        :raises RHError: the call was refused, or the response cannot be read.
        """
        try:
            read_envelope(response, Route.CANCEL)
        except errors.ApiError as error:
            if error.code not in _ALREADY_OVER:
                raise
            return False
        return True

    def encode_price(self, api_key: str, endpoint: str, body: Mapping[str, Any]) -> ApiCall:
        """Build the call that asks what a submit of the same body would cost; it is free (contract 6)."""
        path = f"/openapi/v2/price-preview/{endpoint}"
        return ApiCall(route=Route.PRICE, method="POST", path=path, body=json_bytes(body))

    def decode_price(self, response: ApiResponse) -> PriceQuote:
        """Read what a submit would cost.

        :raises RHError: the call was refused, or the response cannot be read.
        """
        body = read_body(response, Route.PRICE)
        if body.refusal:
            raise api_error(body.refusal, body.error_text, Route.PRICE, response=response)
        quoted = json_object(response.body) or {}
        price, currency = amount(quoted.get("estimatedPrice")), text(quoted.get("currency"))
        if price is None or not currency:
            raise errors.InvalidResponse("the answer names no price", body=response.body, phase=Route.PRICE.value)
        return PriceQuote(price, currency)


def submit_unknown(error: errors.RHError) -> errors.SubmitUnknown:
    """Make the error for a submit that may have created a task."""
    return errors.SubmitUnknown(
        f"it is unknown whether the submit was accepted: {error.message}",
        phase=Route.SUBMIT.value,
        code=error.code,
        task_id=error.task_id,
    )


def _decode_accepted(response: ApiResponse, currency: str | None) -> Snapshot:
    body = read_body(response, Route.SUBMIT)
    # Checked before the code: a task that cannot be named can neither be polled nor be found again in the journal.
    if len(body.task_id) > _LONGEST_ID or not body.task_id.isprintable() or "\ufffd" in body.task_id:
        message = "the answer names a task by what is no id, so that it cannot be asked about"
        raise errors.InvalidResponse(message, body=response.body, phase=Route.SUBMIT.value)
    if body.refusal:
        raise api_error(body.refusal, body.error_text, Route.SUBMIT, response=response, task_id=TaskId(body.task_id))
    if not body.task_id:
        raise errors.InvalidResponse("the answer names no task", body=response.body, phase=Route.SUBMIT.value)
    return body.snapshot(TaskId(body.task_id), response.body, currency)


def _decode_in_flight(response: ApiResponse, task_id: TaskId) -> Snapshot | None:
    """Read the response that nearly every query gets without structuring it: in flight, and nothing else."""
    body = json_object(response.body) if response.status == 200 else None
    status = body.get("status") if body is not None and body.get("taskId") == task_id else None
    if body is None or not isinstance(status, str) or status not in IN_FLIGHT:
        return None
    more = body.get("errorCode") or body.get("code") or body.get("errorMessage") or body.get("results")
    return None if more or body.get("usage") else Snapshot(task_id=task_id, status=status)
