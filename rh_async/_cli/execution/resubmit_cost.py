"""What buying failed jobs again would cost: every job of the plan looked up in the journal. Nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

from rh_async import SubmissionState
from rh_async._cli.options.prerequisites import sha256_of
from rh_async._cli.output.plan_report import format_amounts
from rh_async._journal.reader import Row, read
from rh_async._submission.record_mapping import rejection_error
from rh_async.batch import Entry, LocalFiles, Plan
from rh_async.models.derived_key import derived_key


def resubmit_cost(plan: Plan, journal: Path, site: str) -> str:
    """How many jobs failed, and what they cost by the list. Blocks: it hashes every file.

    :raises UsageError: a file cannot be read.
    :raises JournalError: the journal cannot.
    """
    rows = {row.record.key: row for row in read(journal, site)}  # the last attempt of each
    failed = list(_failed(plan, rows)) if rows else []
    again = [entry for entry, _ in failed]
    lost = sum(row.record.state is SubmissionState.LOST for _, row in failed)
    prices = [entry.price for entry in again if entry.price is not None]
    sums: dict[str, Decimal] = {}
    for price in prices:
        sums[price.currency] = sums.get(price.currency, Decimal()) + price.amount
    unpriced = f", {len(again) - len(prices):,} of them without a price" if len(prices) < len(again) else ""
    unless = f"; {lost:,} of them only if the server, asked first, still does not know them" if lost else ""
    return (
        f"{len(again):,} failed before and will be bought again: {format_amounts(sums) or 'nothing'}{unpriced}{unless}"
    )


def _failed(plan: Plan, rows: Mapping[str, Row]) -> Iterator[tuple[Entry, Row]]:
    sha256s: dict[Path, str] = {}
    for entry in plan.ready:
        row = rows.get(entry.key or _derived(entry, sha256s, plan.files)) if entry.duplicate_of is None else None
        if row is not None and _is_bad(row):
            yield entry, row


def _is_bad(row: Row) -> bool:
    if row.record.state is SubmissionState.REFUSED:  # what the account or the world refused is sent again anyway
        return rejection_error(row.record).blame == "job"
    return row.record.state is SubmissionState.LOST or (
        row.record.state is SubmissionState.SETTLED and row.result() is None
    )


def _derived(entry: Entry, sha256s: dict[Path, str], files: LocalFiles) -> str:
    request = entry.request
    assert request is not None  # noqa: S101 - for the type checker: what is ready has one
    for path in {media.path for media in request.media()} - sha256s.keys():
        sha256s[path] = sha256_of(path, files)
    return derived_key(request, sha256s)
