"""Computes what --retry-failed would cost: looks every job of a plan up in the journal. Nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

from rh_async._cli.options.prerequisites import sha256_of
from rh_async._cli.output.plan_report import format_amounts
from rh_async._journal.reader import Row, read
from rh_async._submission.record_mapping import rejection_error
from rh_async.batch import Entry, LocalFiles, Plan
from rh_async.journal import SubmissionState
from rh_async.models.derived_key import derived_key


def resubmit_cost(plan: Plan, journal: Path, site: str) -> str:
    """Describe how many jobs failed, and what they cost by the price list. Blocks: hashes every file.

    :raises UsageError: a file cannot be read.
    :raises JournalError: the journal cannot.
    """
    rows = {row.record.key: row for row in read(journal, site)}  # the last attempt of each
    failed = list(_find_failed(plan, rows)) if rows else []
    lost = sum(row.record.state is SubmissionState.LOST for _, row in failed)
    prices = [entry.price for entry, _ in failed if entry.price is not None]
    sums: dict[str, Decimal] = {}
    for price in prices:
        sums[price.currency] = sums.get(price.currency, Decimal()) + price.amount
    unpriced = f", {len(failed) - len(prices):,} of them without a price" if len(prices) < len(failed) else ""
    unless = f"; {lost:,} of them only if the server, asked first, still does not know them" if lost else ""
    total = format_amounts(sums) or "nothing"
    return f"{len(failed):,} failed before and will be submitted again: {total}{unpriced}{unless}"


def _find_failed(plan: Plan, rows: Mapping[str, Row]) -> Iterator[tuple[Entry, Row]]:
    sha256s: dict[Path, str] = {}
    for entry in plan.ready:
        row = rows.get(entry.key or _derived_key(entry, sha256s, plan.files)) if entry.duplicate_of is None else None
        if row is not None and _has_failed(row):
            yield entry, row


def _has_failed(row: Row) -> bool:
    if row.record.state is SubmissionState.REFUSED:  # others were rejected for now, and are sent again anyway
        return rejection_error(row.record).blame == "job"
    return row.record.state is SubmissionState.LOST or (
        row.record.state is SubmissionState.SETTLED and row.result() is None
    )


def _derived_key(entry: Entry, sha256s: dict[Path, str], files: LocalFiles) -> str:
    request = entry.request
    assert request is not None  # noqa: S101 - for the type checker: a ready entry has one
    for path in {media.path for media in request.media()} - sha256s.keys():
        sha256s[path] = sha256_of(path, files)
    return derived_key(request, sha256s)
