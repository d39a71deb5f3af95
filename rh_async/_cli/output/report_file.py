"""``--report FILE``: all that a plan refuses or doubts, none of it left out. Blocks throughout."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rh_async._cli.exit_codes import UsageError
from rh_async.batch import Issue, Plan

from .plan_report import as_event, counted

_COLUMNS = ("refused", "rule", "subject", "message", "hint", "number", "line", "key", "clip")
_FIRST_WORDS = "rh-async plan: "
_LOOKED_AT = 64


def write_report(plan: Plan, path: Path) -> str:
    """Write down everything that is wrong or doubtful: as a table (.csv), for a machine (.json) or in lines (.txt).

    :return: what to say of it.
    :raises UsageError: it cannot be written, or another file is there, which may be an input.
    """
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"--report {path} is no .txt, .csv or .json file; nothing was sent")
    write, begins = form
    try:
        if path.exists() and not _is_ours(path, begins):
            raise UsageError(
                f"--report {path} is there and is no report of a plan: name another file; nothing was sent"
            )
        path.write_text(write(plan), encoding="utf-8", errors="backslashreplace", newline="")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"--report {path} cannot be written: {why}; nothing was sent") from error
    refused = sum(issue.is_error for issue, _ in plan.all_issues())
    doubtful = sum(not issue.is_error for issue, _ in plan.all_issues())
    return f"{path}: {counted(refused, 'refusal')} and {counted(doubtful, 'doubt')}, all of them"


def _is_ours(path: Path, begins: str) -> bool:
    with path.open("rb") as source:
        head = source.read(_LOOKED_AT)
    return not head or head.startswith(begins.encode())


def _lines(plan: Plan) -> str:
    jobs = f"{counted(len(plan.entries), 'job')}, {len(plan.ready):,} ready, {len(plan.refused):,} refused"
    return "\n".join([f"{_FIRST_WORDS}{jobs}", *_sections(plan), ""])


def _sections(plan: Plan) -> Iterator[str]:
    rules: dict[tuple[str, str], list[str]] = {}
    for issue, entry in plan.all_issues():
        origin = "" if entry is None or entry.line is None else entry.origin
        rules.setdefault((_title(issue), issue.rule), []).append(issue.line(origin))
    for (title, rule), lines in sorted(rules.items(), key=lambda group: group[0][0], reverse=True):
        yield f"\n{title}: {rule} ({counted(len(lines), 'job')})"
        yield from (f"    {line}" for line in dict.fromkeys(lines))


def _title(issue: Issue) -> str:
    return "refused" if issue.is_error else "doubtful"


def _table(plan: Plan) -> str:
    sink = io.StringIO(newline="")
    rows = csv.DictWriter(sink, _COLUMNS, extrasaction="ignore")
    rows.writeheader()
    rows.writerows(as_event(plan)["issues"])
    return f"\ufeff{sink.getvalue()}"  # the mark by which a spreadsheet knows it for UTF-8


def _json(plan: Plan) -> str:
    event: dict[str, Any] = {"event": "plan", **as_event(plan)}
    return json.dumps(event, indent=1, default=str) + "\n"


_FORMS: Mapping[str, tuple[Callable[[Plan], str], str]] = MappingProxyType(
    {
        ".txt": (_lines, _FIRST_WORDS),
        ".csv": (_table, "\ufeff" + ",".join(_COLUMNS)),
        ".json": (_json, '{\n "event": "plan"'),
    }
)
