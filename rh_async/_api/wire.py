"""Defines calls and responses as bytes, and reads the JSON objects inside them, whatever is missing there."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, fields, frozen

from rh_async.types import SETTLED, Output, Snapshot, TaskId, Usage

from .failure_reasons import flaw_of, reason_of

if TYPE_CHECKING:
    from cattrs import Converter


UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What JSON can write, and neither a file nor a database can hold: NUL, and half of a surrogate pair."""


class Route(Enum):
    """Name the part of the API that a call goes to; the value is the ``phase`` of its errors."""

    SUBMIT = "submit"
    QUERY = "query"
    UPLOAD = "upload"
    ACCOUNT = "account"
    CANCEL = "cancel"
    PRICE = "price"


@frozen(kw_only=True)
class ApiCall:
    """Hold one HTTP request to the API, as bytes."""

    route: Route
    method: str
    path: str
    body: bytes = field(default=b"", repr=False)

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice costs nothing: never a submit, which has no idempotency key (contract 3)."""
        return self.route is not Route.SUBMIT


@frozen(kw_only=True)
class ApiResponse:
    """Hold one whole HTTP response.

    :param retry_after: seconds, where the header was sent and is a number.
    """

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None


@frozen(kw_only=True)
class _Result:
    url: str = ""
    output_url: str = ""
    output_type: str = ""
    node_id: str = ""
    text: str = ""
    content: str = ""
    output: str = ""

    def as_output(self) -> Output:
        # Other clients also read these other names (contract 4.1).
        url, text = self.url or self.output_url, self.text or self.content or self.output
        return Output(url=url or None, type=self.output_type.lower(), node_id=self.node_id or None, text=text or None)


@frozen(kw_only=True)
class _Usage:
    consume_money: Decimal | None = None
    third_party_consume_money: Decimal | None = None
    consume_coins: Decimal | None = None
    task_cost_time: Decimal | None = None

    def as_usage(self, currency: str | None) -> Usage:
        # Which of the two holds the charge differs (contract 4.1); if both are sent, both may have been charged.
        charges = [money for money in (self.consume_money, self.third_party_consume_money) if money is not None]
        return Usage(
            money=sum(charges, Decimal()) if charges else None,
            currency=currency if charges else None,
            coins=self.consume_coins,
            seconds=self.task_cost_time,
        )


@frozen(kw_only=True)
class ResponseBody:
    """Hold a response body of either shape.

    v2 is flat, with ``status`` and ``errorCode``; other routes wrap ``data`` beside ``code`` and ``msg`` or ``message``
    (contract 0.1, 5.1). A refusal on a v2 path may come in both.

    :param failed_reason: why the job failed, as it was sent: an object, or text (contract 4.1).
    :param prompt_tips: what the server found in the workflow, as it was sent: JSON text (contract 3.1).
    """

    task_id: str = ""
    status: str = ""
    error_code: str = ""
    error_message: str = ""
    results: list[_Result] = field(factory=list)
    usage: _Usage = _Usage()
    failed_reason: Any = None
    prompt_tips: Any = None
    code: str = ""
    msg: str = ""
    message: str = ""
    data: dict[str, Any] = field(factory=dict)

    @property
    def refusal(self) -> str:
        """The error code; "" if the call was not refused."""
        return next((code for code in (self.error_code, self.code) if code not in _NO_ERROR), "")

    @property
    def error_text(self) -> str:
        """What the server says about its error code."""
        return self.error_message or self.msg or self.message

    def snapshot(self, task_id: TaskId, raw: bytes, currency: str | None) -> Snapshot:
        """Make the snapshot of the task that the body is about."""
        found = (result.as_output() for result in self.results)
        status = self.status.upper()
        return Snapshot(
            task_id=task_id,
            status=status,
            code=self.refusal,
            message=self.error_text if self.refusal else self.error_message,  # an envelope says "success"
            reason=reason_of(self.failed_reason),
            flaw=flaw_of(self.prompt_tips),
            outputs=tuple(output for output in found if output.url or output.text),
            usage=self.usage.as_usage(currency),
            raw=raw if status in SETTLED else b"",
        )


def json_object(body: bytes) -> dict[str, Any] | None:
    """Parse a JSON object; return None if the bytes are not one."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def parse_body(body: dict[str, Any] | None) -> ResponseBody:
    """Read the object; what is missing or of a wrong type is absent in the result."""
    return _body_converter().structure(_flattened(body or {}), ResponseBody)


def _flattened(body: dict[str, Any]) -> dict[str, Any]:
    """Put what an envelope says of a task beside its code, where a flat body has it (contract 6).

    A task whose id stands in ``data`` is billed as any other is: its submit must not count as unknown.
    """
    data = body.get("data")
    if not isinstance(data, dict):
        return body
    found = {name: data[name] for name in _OF_A_TASK if name in data and body.get(name) in _UNSAID}
    if "taskStatus" in data and body.get("status") in _UNSAID:  # the envelope's own word for it
        found.setdefault("status", data["taskStatus"])
    return body | found


def text(value: object, _: object = None) -> str:
    """Read text that is sent as text, as a whole number or as null (contract 12.7); anything else is absent."""
    if isinstance(value, str):
        return UNSTORABLE.sub("\ufffd", value).strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _TOO_LONG else ""


def number(value: object, _: object = None) -> Decimal | None:
    """Read a number that is sent as text, as a number or as null (contract 4.1); anything else is absent.

    So is a number that no currency has: written out, it would fill megabytes.
    """
    try:
        found = Decimal(repr(value) if isinstance(value, float) else text(value))
    except InvalidOperation:
        return None
    if not found.is_finite() or found.adjusted() >= 30 or found.as_tuple().exponent < -30:  # type: ignore[operator]
        return None
    return found


def amount(value: object, _: object = None) -> Decimal | None:
    """Read a charge or a duration: never below zero, nor above what one task can take."""
    found = number(value)
    return abs(found) if found is not None and 0 <= found < _MOST else None


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


K = TypeVar("K")


def _register(converter: Converter, kind: type[K]) -> None:
    """Let the converter read a camelCase object, of which any key may be missing, and lists of it."""
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415 - as below

    renamed = {a.name: override(rename=_camel(a.name)) for a in fields(kind)}  # type: ignore[arg-type]
    known = make_dict_structure_fn(kind, converter, **renamed)  # type: ignore[arg-type]

    def one(value: object, _: object) -> K:
        return known(value if isinstance(value, dict) else {}, kind)

    def several(value: object, _: object) -> list[K]:
        return [one(item, kind) for item in value] if isinstance(value, list) else []

    converter.register_structure_hook(kind, one)
    converter.register_structure_hook_func(lambda wanted: wanted == list[kind], several)  # type: ignore[valid-type]


def prepare() -> None:
    """Load what reading a response needs.

    Called before a submit: its response must not fail to be read because the process is out of descriptors by then.
    """
    _body_converter()


@cache
def _body_converter() -> Converter:
    from cattrs import Converter  # noqa: PLC0415 - a tenth of the import time, and not needed before the first response

    converter = Converter(detailed_validation=False)
    converter.register_structure_hook(str, text)
    converter.register_structure_hook_func(lambda wanted: wanted == Decimal | None, amount)
    converter.register_structure_hook_func(
        lambda wanted: wanted == dict[str, Any], lambda value, _: value if isinstance(value, dict) else {}
    )
    for kind in (_Usage, _Result, ResponseBody):
        _register(converter, kind)
    return converter


_TOO_LONG = 10**30
"""A whole number that no field of the API comes near."""
_MOST = 10**9
"""Of money, coins or seconds that one task takes."""
_NO_ERROR = frozenset({"", "0", "200"})
_OF_A_TASK = ("taskId", "status", "results", "usage", "failedReason", "promptTips")
_UNSAID: tuple[object, ...] = (None, "", [], {})
