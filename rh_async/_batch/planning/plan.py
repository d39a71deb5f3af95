"""Defines the plan: every job in order with its issues and its price, and the sums of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from rh_async._media.local_file import LocalFiles
from rh_async._media.media_info import MediaInfo
from rh_async.issues import Issue, Severity
from rh_async.models.base import MediaValue, Request
from rh_async.models.prices import Price

_EXAMPLES = 3


@frozen(kw_only=True)
class Entry:
    """One job of a plan.

    :param number: its position in the folder or manifest, from 1; shuffling does not change it.
    :param source: the clip, or the manifest.
    :param line: of the manifest.
    :param clip: the driving video, None where there is none.
    :param characters: the character images.
    :param request: None if no request could be made.
    :param key: the key that the manifest gives the job; None where it gives none.
    :param price: the list price; None where the list states none.
    :param extra_columns: the columns of its row that no model takes; passed on to the outcome unchanged.
    :param issues: its errors and warnings.
    :param duplicate_of: the number of the first job with the same request, in files with the same bytes; the two are
        submitted once.
    """

    number: int
    source: str
    line: int | None = None
    clip: MediaValue | None = None
    characters: tuple[MediaValue, ...] = ()
    request: Request | None = None
    key: str | None = None
    price: Price | None = None
    extra_columns: Mapping[str, Any] = field(factory=dict, hash=False)
    issues: tuple[Issue, ...] = ()
    duplicate_of: int | None = None

    @property
    def origin(self) -> str:
        """Where the job comes from: the clip, or the manifest and the line."""
        return self.source if self.line is None else f"{self.source}:{self.line}"

    @property
    def refused(self) -> bool:
        """Whether the job has an error, and so is not submitted."""
        return self.request is None or any(issue.is_error for issue in self.issues)


@frozen
class IssueGroup:
    """The issues of one rule.

    :param count: how many issues.
    :param examples: the first few, as whole lines.
    :param distinct: how many different issues: one bad file that many jobs use is one.
    """

    rule: str
    count: int
    examples: tuple[str, ...]
    distinct: int


@define(frozen=True, kw_only=True, slots=False)  # without slots, for its cached properties
class Plan:
    """Many jobs, checked before anything is sent.

    :param entries: every job in the order to send them, also those that are refused.
    :param issues: the issues that belong to no job: an empty folder, a clip without a partner.
    :param media_info: what each usable file is.
    :param price_list: the version of the price list, with its date.
    :param files: what was hashed while planning, so that the run hashes nothing twice.
    """

    entries: tuple[Entry, ...]
    issues: tuple[Issue, ...] = ()
    media_info: Mapping[Path, MediaInfo] = field(factory=dict, repr=False)
    price_list: str = ""
    files: LocalFiles = field(factory=LocalFiles, repr=False, eq=False)

    @cached_property
    def ready(self) -> tuple[Entry, ...]:
        """The jobs without an error."""
        return tuple(entry for entry in self.entries if not entry.refused)

    @cached_property
    def refused(self) -> tuple[Entry, ...]:
        """The jobs with an error."""
        return tuple(entry for entry in self.entries if entry.refused)

    @cached_property
    def unique(self) -> tuple[Entry, ...]:
        """The ready jobs that will be submitted if no earlier run submitted them: of equal jobs, the first."""
        return self._by_submission[0]

    @cached_property
    def duplicates(self) -> tuple[Entry, ...]:
        """The ready jobs that share the submission, and the outcome, of an equal job before them."""
        return self._by_submission[1]

    @cached_property
    def _by_submission(self) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        """Return unique jobs and duplicates; in a part of a plan without a group's first job, the next is unique."""
        firsts = {entry.number for entry in self.ready if entry.duplicate_of is None}
        unique, duplicates = list[Entry](), list[Entry]()
        for entry in self.ready:
            (duplicates if entry.duplicate_of in firsts else unique).append(entry)
            if entry.duplicate_of is not None:
                firsts.add(entry.duplicate_of)
        return tuple(unique), tuple(duplicates)

    @property
    def is_valid(self) -> bool:
        """Whether there are jobs to submit, and no errors."""
        return bool(self.ready) and not self.refused and not any(issue.is_error for issue in self.issues)

    @cached_property
    def total(self) -> Mapping[str, Decimal]:
        """The sum of the list prices of the unique jobs, by currency; jobs without a price do not count."""
        sums: dict[str, Decimal] = {}
        for price, times in Counter(entry.price for entry in self.unique).items():
            if price is not None:
                sums[price.currency] = sums.get(price.currency, Decimal()) + price.amount * times
        return sums

    @cached_property
    def unpriced(self) -> int:
        """How many unique jobs have no list price."""
        return sum(entry.price is None for entry in self.unique)

    def errors_by_rule(self) -> tuple[IssueGroup, ...]:
        """Group the errors by rule, the most frequent first."""
        return self._grouped(severity="error")

    def warnings_by_rule(self) -> tuple[IssueGroup, ...]:
        """Group the warnings by rule, the most frequent first."""
        return self._grouped(severity="warning")

    def _grouped(self, *, severity: Severity) -> tuple[IssueGroup, ...]:
        counts: Counter[str] = Counter()
        distinct: dict[str, dict[str, str]] = {}
        for issue, entry in self.all_issues():
            if issue.severity == severity:
                counts[issue.rule] += 1
                distinct.setdefault(issue.rule, {}).setdefault(str(issue), _line(issue, entry))
        return tuple(
            IssueGroup(rule, count, tuple(islice(distinct[rule].values(), _EXAMPLES)), len(distinct[rule]))
            for rule, count in counts.most_common()
        )

    def all_issues(self) -> Iterator[tuple[Issue, Entry | None]]:
        """Iterate over all issues, each with its job; None for an issue that belongs to no job."""
        yield from ((issue, None) for issue in self.issues)
        for entry in self.entries:
            yield from ((issue, entry) for issue in entry.issues)


def _line(issue: Issue, entry: Entry | None) -> str:
    return issue.line("" if entry is None or entry.line is None else entry.origin)
