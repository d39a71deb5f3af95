"""Describes a plan: how many jobs, which are refused and why, warnings, and the price."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from attrs import asdict
from rich.filesize import decimal
from rich.text import Text

from rh_async._cli.terminal.fields import printable
from rh_async.batch import Entry, Issue, IssueGroup, Plan
from rh_async.issues import display_text


def report(plan: Plan) -> Iterator[Text]:
    """List the plan's lines of text; none is cut."""
    yield Text.assemble(("plan      ", "bold"), _jobs(plan))
    if plan.media_info:
        yield Text.assemble(("files     ", "bold"), _files(plan))
    refusals, warnings = plan.errors_by_rule(), plan.warnings_by_rule()
    yield from _groups("refused", refusals, "red")
    yield from _groups("warned", warnings, "yellow")
    if any(group.distinct > len(group.examples) for group in (*refusals, *warnings)):
        yield Text("          all of them: --report FILE.txt (or .csv, .json), or --check --json")
    if plan.ready:
        yield Text.assemble(("price     ", "bold"), price(plan))


def price(plan: Plan) -> str:
    """Format what the ready jobs cost by the price list."""
    parts = [format_amounts(plan.total)] if plan.total else []
    if plan.unpriced:
        parts.append(f"{counted(plan.unpriced, 'job')} the list has no price for")
    return f"{' + '.join(parts) or 'nothing'}, by the price list of {plan.price_list} (the China site's)"


def format_amounts(sums: Mapping[str, Decimal]) -> str:
    """Format amounts of money, currency by currency."""
    return " + ".join(f"{currency} {amount:,.2f}" for currency, amount in sorted(sums.items()))


def counted(number: int, noun: str) -> str:
    """Format a number of things: 1 job, 2 jobs."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def as_event(plan: Plan) -> dict[str, Any]:
    """Convert the plan to the fields of its event."""
    return {
        "jobs": len(plan.entries),
        "ready": len(plan.ready),
        "unique": len(plan.unique),
        "refused": len(plan.refused),
        "total": {currency: str(amount) for currency, amount in plan.total.items()},
        "unpriced": plan.unpriced,
        "prices": plan.price_list,
        "refusals": [asdict(group) for group in plan.errors_by_rule()],
        "warnings": [asdict(group) for group in plan.warnings_by_rule()],
        "issues": [_issue_event(issue, entry) for issue, entry in plan.all_issues()],
    }


def _issue_event(issue: Issue, entry: Entry | None) -> dict[str, Any]:
    """Convert one issue, and the job it belongs to, if there is one."""
    return {
        "refused": issue.is_error,
        "rule": issue.rule,
        "subject": issue.subject,
        "message": issue.message,
        "hint": issue.hint,
        "number": None if entry is None else entry.number,
        "line": None if entry is None else entry.line,
        "key": None if entry is None else entry.key,
        "clip": None if entry is None or entry.clip is None else display_text(str(entry.clip)),
    }


def _jobs(plan: Plan) -> str:
    parts = [counted(len(plan.entries), "job"), f"{len(plan.ready):,} ready"]
    if plan.duplicates:
        parts.append(f"{len(plan.unique):,} to submit ({counted(len(plan.duplicates), 'duplicate')})")
    parts += [f"{len(plan.refused):,} refused"] if plan.refused else []
    return ", ".join(parts)


def _files(plan: Plan) -> str:
    media = plan.media_info.values()
    films = [one.seconds for one in media if one.family == "video" and one.seconds is not None]
    size = decimal(sum(one.size for one in media))
    stills = sum(one.family == "image" for one in media)
    length = timedelta(seconds=round(sum(films)))
    return f"{counted(len(films), 'video')} ({length} in all), {counted(stills, 'image')}, {size}"


def _groups(title: str, groups: Iterable[IssueGroup], style: str) -> Iterator[Text]:
    for number, group in enumerate(groups):
        head = title if number == 0 else ""
        yield Text.assemble((f"{head:<10}", "bold"), (f"{group.rule}: {group.count:,}", style))
        for example in group.examples:
            yield Text(f"            {printable(example)}")
        if group.distinct > len(group.examples):
            yield Text(f"            and {group.distinct - len(group.examples):,} more")
