"""Reads why a job failed, and what is wrong with a workflow, from the two fields whose form the API leaves open.

``failedReason`` is documented as text and sent as an object (contract 4.1). ``promptTips`` is JSON text (contract 3.1).
Either may hold JSON text inside JSON text. What cannot be read says nothing: an answer never fails over its remarks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

_LONGEST = 2000
"""Characters kept. A traceback in place of a message must not fill a terminal; the raw answer has the rest."""
_DEEPEST = 4
"""How many layers of text, lists and objects are opened."""
_PHRASES = ("exception_message", "exception_type", "message", "msg", "error")
"""Where an object says what happened, the best first."""


def reason_of(value: object) -> str:
    """Read a ``failedReason``: ``node_name: exception_message``, or as much of that as there is."""
    return _one_line(_reason(value, _DEEPEST))


def flaw_of(value: object) -> str:
    """Read what ``promptTips`` finds wrong with a workflow; "" where it finds nothing."""
    tips = _opened(value)
    if not isinstance(tips, Mapping):
        return ""
    errors = _opened(tips.get("node_errors"))
    nodes = [_node_flaw(node, found) for node, found in errors.items()] if isinstance(errors, Mapping) else []
    if not nodes and tips.get("result") is not False:
        return ""
    return _one_line("; ".join(filter(None, [_reason(tips.get("error"), _DEEPEST), *nodes])) or _UNSAID)


_UNSAID = "the workflow did not pass validation"


def _reason(value: object, depth: int) -> str:
    value = _opened(value)
    if depth == 0 or value is None or isinstance(value, bool | int | float):
        return ""
    if isinstance(value, Mapping):
        return _of_object(value, depth)
    if isinstance(value, list):
        return "; ".join(_distinct(_reason(item, depth - 1) for item in value))
    return value.strip() if isinstance(value, str) else ""


def _of_object(fault: Mapping[object, object], depth: int) -> str:
    phrase = next(filter(None, (_reason(fault.get(name), depth - 1) for name in _PHRASES)), "")
    phrase = phrase or _last_line(fault.get("traceback"))
    return ": ".join(filter(None, [_node_of(fault), phrase]))


def _node_of(fault: Mapping[object, object]) -> str:
    name, number = _word(fault.get("node_name")), _word(fault.get("node_id"))
    return name or (f"node {number}" if number else "")


def _node_flaw(node: object, found: object) -> str:
    fault = found if isinstance(found, Mapping) else {}
    kind, errors = _word(fault.get("class_type")), fault.get("errors")
    listed = errors if isinstance(errors, list) else [found]
    said = "; ".join(_distinct(filter(None, map(_complaint, listed)))) or "is refused"
    return f"node {node}{f' ({kind})' if kind else ''}: {said}"


def _complaint(error: object) -> str:
    if not isinstance(error, Mapping):
        return _reason(error, _DEEPEST)
    return ": ".join(_distinct(filter(None, [_word(error.get("message")), _word(error.get("details"))])))


def _last_line(traceback: object) -> str:
    opened = _opened(traceback)
    lines = opened if isinstance(opened, list) else opened.splitlines() if isinstance(opened, str) else []
    return next((line.strip() for line in reversed(lines) if isinstance(line, str) and line.strip()), "")


def _opened(value: object) -> object:
    """The object or list that a text encodes; anything else as it is."""
    for _ in range(_DEEPEST):
        if not isinstance(value, str) or not value.lstrip().startswith(("{", "[", '"')):
            break
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            break
    return value


def _word(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _distinct(phrases: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, phrases)))


def _one_line(text: str) -> str:
    """One line that can be written anywhere: no half of a surrogate pair, nothing that moves a cursor."""
    words = " ".join(text[: 4 * _LONGEST].split())
    line = "".join(sign if sign.isprintable() else "\ufffd" for sign in words)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
