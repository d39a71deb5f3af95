"""Reads why a job failed, and what is wrong with a workflow, from two fields whose form the API leaves open.

``failedReason`` is documented as text and sent as an object (contract 4.1). ``promptTips`` is JSON text (contract 3.1).
Either may hold JSON text inside JSON text. What cannot be read is "": a response never fails over these two fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from rh_async._printable import one_line

_MAX_LENGTH = 1999
"""Characters kept. A traceback in place of a message must not fill a terminal; the raw answer has the rest."""
_MAX_DEPTH = 4
"""How many layers of text, lists and objects are opened."""
_MESSAGES = ("exception_message", "exception_type", "message", "msg", "error")
"""The keys under which an object says what happened, the most telling first."""


def reason_of(value: object) -> str:
    """Read a ``failedReason``: ``node_name: exception_message``, or as much of that as there is."""
    return one_line(_reason(value, _MAX_DEPTH), longest=_MAX_LENGTH)


def flaw_of(value: object) -> str:
    """Read what ``promptTips`` finds wrong with a workflow; "" where it finds nothing."""
    tips = _unwrap(value)
    if not isinstance(tips, Mapping):
        return ""
    errors = _unwrap(tips.get("node_errors"))
    nodes = [_node_flaw(node, found) for node, found in errors.items()] if isinstance(errors, Mapping) else []
    if not nodes and tips.get("result") is not False:
        return ""
    flaw = "; ".join(filter(None, [_reason(tips.get("error"), _MAX_DEPTH), *nodes])) or _UNSAID
    return one_line(flaw, longest=_MAX_LENGTH)


_UNSAID = "the workflow did not pass validation"


def _reason(value: object, depth: int) -> str:
    value = _unwrap(value)
    if depth == 0 or value is None or isinstance(value, bool | int | float):
        return ""
    if isinstance(value, Mapping):
        return _of_object(value, depth)
    if isinstance(value, list):
        return "; ".join(_distinct(_reason(item, depth - 1) for item in value))
    return value.strip() if isinstance(value, str) else ""


def _of_object(fault: Mapping[object, object], depth: int) -> str:
    message = next(filter(None, (_reason(fault.get(name), depth - 1) for name in _MESSAGES)), "")
    message = message or _last_line(fault.get("traceback"))
    return ": ".join(filter(None, [_node_of(fault), message]))


def _node_of(fault: Mapping[object, object]) -> str:
    name, number = _short_text(fault.get("node_name")), _short_text(fault.get("node_id"))
    return name or (f"node {number}" if number else "")


def _node_flaw(node: object, found: object) -> str:
    fault = found if isinstance(found, Mapping) else {}
    kind, errors = _short_text(fault.get("class_type")), fault.get("errors")
    listed = errors if isinstance(errors, list) else [found]
    message = "; ".join(_distinct(filter(None, map(_node_error, listed)))) or "is refused"
    return f"node {node}{f' ({kind})' if kind else ''}: {message}"


def _node_error(error: object) -> str:
    if not isinstance(error, Mapping):
        return _reason(error, _MAX_DEPTH)
    return ": ".join(_distinct(filter(None, [_short_text(error.get("message")), _short_text(error.get("details"))])))


def _last_line(traceback: object) -> str:
    opened = _unwrap(traceback)
    lines = opened if isinstance(opened, list) else opened.splitlines() if isinstance(opened, str) else []
    return next((line.strip() for line in reversed(lines) if isinstance(line, str) and line.strip()), "")


def _unwrap(value: object) -> object:
    """Return the object or list that a text encodes, and anything else as it is."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(value, str) or not value.lstrip().startswith(("{", "[", '"')):
            break
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            break
    return value


def _short_text(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _distinct(messages: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, messages)))
