"""Defines the faults that can be injected: one table of kinds, with a description and the defaults of each."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from types import MappingProxyType
from typing import Any, Literal

from attrs import Attribute, Factory, field, frozen

FaultKind = Literal[
    "refuse_connections",
    "drop_before_body",
    "drop_after_accept",
    "drop_mid_response",
    "hang",
    "redirect_307",
    "gateway_502",
    "http_429",
    "json_5xx",
    "invalid_body",
    "empty_body",
    "oversized_body",
    "slow_response",
    "error_code",
    "error_with_task",
    "error_with_unknown_task",
    "wrong_file_name",
    "truncated_file",
    "expired_link",
    "redirected_link",
    "unknown_status",
    "output_type",
    "failed",
    "node_errors",
    "moderation",
    "real_person",
    "success_without_results",
    "success_on_submit",
    "not_found_first",
    "slot_release_delay",
    "foreign_tasks",
    "frozen_counters",
    "random_counters",
]
RouteName = Literal[
    "submit", "query", "upload", "download", "queue_status", "account", "cancel", "price", "app_demo", "task"
]
"""What a fault affects: requests to one call of the API, or, for ``task``, tasks at their creation."""

# Codes after which the submit may or may not have been accepted (contract 8: "new submit", "retry").
_AMBIGUOUS_CODES = frozenset({"500", "1000", "1005", "1006", "1012", "1015", "1504"})


@frozen(kw_only=True)
class FaultSpec:
    """What a kind of fault does, and the defaults of its faults.

    :param accepted: whether the request is executed before the fault shows.
    :param ambiguous: whether a client whose submit meets the fault cannot know if a task was created.
    """

    description: str
    route: RouteName = "submit"
    accepted: bool = False
    ambiguous: bool = False
    seconds: float = 5.0
    status: int = 200
    code: str | None = None
    task_status: str = ""
    output_type: str = ""


def _ambiguous_fault(description: str, **defaults: Any) -> FaultSpec:
    return FaultSpec(description=description, ambiguous=True, **defaults)


def _task_fault(description: str, **defaults: Any) -> FaultSpec:
    return FaultSpec(description=description, route="task", accepted=True, **defaults)


def _counter_fault(description: str) -> FaultSpec:
    return FaultSpec(description=description, route="queue_status", accepted=True)


def _download_fault(description: str, **defaults: Any) -> FaultSpec:
    return FaultSpec(description=description, route="download", **defaults)


FAULT_KINDS: Mapping[str, FaultSpec] = MappingProxyType(
    {
        "refuse_connections": FaultSpec(
            description="Connections are refused for `seconds` before the nth request; idle connections are closed."
        ),
        "drop_before_body": _ambiguous_fault("The connection is closed after the headers, before the body is read."),
        "drop_after_accept": _ambiguous_fault("The request is executed and gets no response.", accepted=True),
        "drop_mid_response": _ambiguous_fault("The connection is closed after half of the response.", accepted=True),
        "hang": _ambiguous_fault("No response until the server stops; `accepted` decides if the request is executed."),
        "redirect_307": _ambiguous_fault("A redirect to another path, where a repeated POST would work.", status=307),
        "gateway_502": _ambiguous_fault("A gateway's HTML page, with any `status`.", status=502),
        "http_429": FaultSpec(description="HTTP 429, with or without `retry_after`.", status=429),
        "json_5xx": _ambiguous_fault("A 5xx in JSON, with or without a `code`.", status=503),
        "invalid_body": _ambiguous_fault("Half of the response body and a byte that is not UTF-8.", accepted=True),
        "empty_body": _ambiguous_fault("HTTP 200 with an empty body.", accepted=True),
        "oversized_body": _ambiguous_fault("The response body after `size` bytes of blanks.", accepted=True),
        "slow_response": _ambiguous_fault("The response body, spread over `seconds`.", accepted=True, seconds=30.0),
        "error_code": FaultSpec(description="An error `code`, as `code_type`, with `task_status`.", code="1005"),
        "error_with_task": _ambiguous_fault(
            "An error that names the task which was created and charged.", accepted=True, code="421"
        ),
        "error_with_unknown_task": _ambiguous_fault("An error that names a task which does not exist.", code="421"),
        "wrong_file_name": FaultSpec(
            description="The upload returns the file name of other content.", route="upload", accepted=True
        ),
        "truncated_file": _download_fault("Fewer bytes than Content-Length says.", accepted=True),
        "expired_link": _download_fault("The link has expired, with any `status`.", status=403),
        "redirected_link": _download_fault("HTTP 302 to another link, which works.", status=302),
        "unknown_status": _task_fault(
            "The next `responses` have an undocumented `task_status`.", task_status="REVIEWING"
        ),
        "output_type": _task_fault("Its results have this `output_type`.", output_type="video"),
        "failed": _task_fault("The task ends FAILED, with a `code`.", code="1015"),
        "node_errors": _task_fault(
            "The submit is accepted with node errors in promptTips; the task ends FAILED.", code="1000"
        ),
        "moderation": _task_fault("The task ends FAILED because of content moderation.", code="1501"),
        "real_person": _task_fault("The task ends FAILED because of a real person.", code="1505"),
        "success_without_results": _task_fault("The first `responses` with SUCCESS have no results."),
        "success_on_submit": _task_fault("The task has succeeded when the submit is answered."),
        "not_found_first": _task_fault("Queries do not find the task for its first `seconds`."),
        "slot_release_delay": _task_fault("The task holds its slot for `seconds` after it settled.", seconds=10.0),
        "foreign_tasks": FaultSpec(
            description="`count` tasks of another program with the same key, for `seconds`.",
            route="account",
            seconds=inf,
        ),
        "frozen_counters": _counter_fault("The queue counters stay as they were when the fault was first applied."),
        "random_counters": _counter_fault("Each queue counter is random, between 0 and the limit."),
    }
)
TASK_FAULTS = frozenset(kind for kind, spec in FAULT_KINDS.items() if spec.route == "task")
_COUNTER_FAULTS = frozenset(kind for kind, spec in FAULT_KINDS.items() if spec.route == "queue_status")
_RESPONSE_FAULTS = frozenset(kind for kind, spec in FAULT_KINDS.items() if spec.accepted)


def _spec_of(kind: str) -> FaultSpec:
    if kind not in FAULT_KINDS:
        msg = f"there is no fault of the kind {kind!r}"
        raise ValueError(msg)
    return FAULT_KINDS[kind]


def _kind_default(name: str) -> Any:
    return Factory(lambda fault: getattr(_spec_of(fault.kind), name), takes_self=True)


@frozen
class Fault:
    """One scheduled fault; parameters that are not given take the defaults of its kind in :data:`FAULT_KINDS`.

    :param route: which requests it affects.
    :param nth: the first request on that route it affects, counted from 1 since the server started; None for the next.
    :param times: how many requests it affects; None for all that follow.
    :param probability: of affecting each of them, drawn from the server's seed.
    :param accepted: whether the request is executed before the fault shows.
    :param seconds: how long it lasts, on the loop's clock.
    :param status: the HTTP status.
    :param code: the error code; None for none.
    :param code_type: the JSON type of the code; None for the usual one of that route.
    :param message: the error message; None for the documented one of the code.
    :param task_status: the task status in the response.
    :param output_type: the output type in the response.
    :param responses: how many responses about a task it changes.
    :param retry_after: the header of that name; None for none.
    :param size: in bytes.
    :param count: how many tasks.
    :param failed_reason: the value of ``failedReason``, as JSON; None for the usual one of the code.
    """

    kind: FaultKind
    route: RouteName = field(default=_kind_default("route"), kw_only=True)
    nth: int | None = field(default=None, kw_only=True)
    times: int | None = field(default=1, kw_only=True)
    probability: float = field(default=1.0, kw_only=True)
    accepted: bool = field(default=_kind_default("accepted"), kw_only=True)
    seconds: float = field(default=_kind_default("seconds"), kw_only=True)
    status: int = field(default=_kind_default("status"), kw_only=True)
    code: str | None = field(default=_kind_default("code"), kw_only=True)
    code_type: Literal["str", "int", "null"] | None = field(default=None, kw_only=True)
    message: str | None = field(default=None, kw_only=True)
    task_status: str = field(default=_kind_default("task_status"), kw_only=True)
    output_type: str = field(default=_kind_default("output_type"), kw_only=True)
    responses: int = field(default=1, kw_only=True)
    retry_after: float | str | None = field(default=None, kw_only=True)
    size: int = field(default=48 << 20, kw_only=True)
    count: int = field(default=1, kw_only=True)
    failed_reason: Any = field(default=None, kw_only=True, hash=False)  # JSON values need not be hashable

    @nth.validator
    @times.validator
    def _check_positive(self, attribute: Attribute[int | None], value: int | None) -> None:
        if value is not None and (not isinstance(value, int) or value < 1):
            msg = f"{attribute.name} counts from 1, or is None"
            raise ValueError(msg)

    @route.validator
    def _check_route(self, _attribute: object, route: str) -> None:
        task_fault, counter_fault = self.kind in TASK_FAULTS, self.kind in _COUNTER_FAULTS
        if task_fault != (route == "task") or (counter_fault and route != "queue_status"):
            msg = f"{self.kind} does not apply to {route}"
            raise ValueError(msg)

    @accepted.validator
    def _check_accepted(self, _attribute: object, accepted: bool) -> None:
        if self.kind in _RESPONSE_FAULTS and not accepted:
            msg = f"{self.kind} changes a response, so the request must be accepted"
            raise ValueError(msg)

    @property
    def ambiguous(self) -> bool:
        """Whether a client that meets the fault cannot know if a task was created."""
        if self.route != "submit":
            return False
        if self.kind != "error_code":
            return FAULT_KINDS[self.kind].ambiguous
        return self.accepted or self.code_type == "null" or self.code in _AMBIGUOUS_CODES
