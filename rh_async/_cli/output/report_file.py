"""Writes ``--report FILE``: every refusal and warning of a plan. Blocks throughout."""

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
_TXT_HEAD = "rh-async plan: "
_HEAD_BYTES = 64


def write_report(plan: Plan, path: Path) -> str:
    """Write every refusal and warning: as a table (.csv), for a program (.json) or as text (.txt).

    :return: a line about the file, to be printed.
    :raises UsageError: it cannot be written, or another file is there, which might be an input.
    """
    file_format = _FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise UsageError(f"--report {path} is no .txt, .csv or .json file; nothing was sent")
    write, begins = file_format
    try:
        if path.exists() and not _is_report(path, begins):
            raise UsageError(
                f"--report {path} is there and is no report of a plan: name another file; nothing was sent"
            )
        path.write_text(write(plan), encoding="utf-8", errors="backslashreplace", newline="")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"--report {path} cannot be written: {why}; nothing was sent") from error
    refused = sum(issue.is_error for issue, _ in plan.all_issues())
    warned = sum(not issue.is_error for issue, _ in plan.all_issues())
    return f"{path}: {counted(refused, 'refusal')} and {counted(warned, 'warning')}, all of them"


def _is_report(path: Path, begins: str) -> bool:
    with path.open("rb") as source:
        head = source.read(_HEAD_BYTES)
    return not head or head.startswith(begins.encode())


def _to_txt(plan: Plan) -> str:
    jobs = f"{counted(len(plan.entries), 'job')}, {len(plan.ready):,} ready, {len(plan.refused):,} refused"
    return "\n".join([f"{_TXT_HEAD}{jobs}", *_sections(plan), ""])


def _sections(plan: Plan) -> Iterator[str]:
    rules: dict[tuple[str, str], list[str]] = {}
    for issue, entry in plan.all_issues():
        origin = "" if entry is None or entry.line is None else entry.origin
        rules.setdefault((_title(issue), issue.rule), []).append(issue.line(origin))
    for (title, rule), lines in sorted(rules.items(), key=lambda group: group[0][0], reverse=True):
        yield f"\n{title}: {rule} ({counted(len(lines), 'job')})"
        yield from (f"    {line}" for line in dict.fromkeys(lines))


def _title(issue: Issue) -> str:
    return "refused" if issue.is_error else "warned"


def _to_csv(plan: Plan) -> str:
    sink = io.StringIO(newline="")
    rows = csv.DictWriter(sink, _COLUMNS, extrasaction="ignore")
    rows.writeheader()
    rows.writerows(as_event(plan)["issues"])
    return f"\ufeff{sink.getvalue()}"  # the byte-order mark: without it a spreadsheet does not read UTF-8


def _to_json(plan: Plan) -> str:
    event: dict[str, Any] = {"event": "plan", **as_event(plan)}
    return json.dumps(event, indent=1, default=str) + "\n"


_FORMATS: Mapping[str, tuple[Callable[[Plan], str], str]] = MappingProxyType(
    {
        ".txt": (_to_txt, _TXT_HEAD),
        ".csv": (_to_csv, "\ufeff" + ",".join(_COLUMNS)),
        ".json": (_to_json, '{\n "event": "plan"'),
    }
)
