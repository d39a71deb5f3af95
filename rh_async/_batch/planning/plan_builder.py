"""From drafts to a plan: every distinct file is looked at once, every distinct request judged once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from attrs import define, evolve, field, frozen

from rh_async._media.media_info import MediaInfo
from rh_async._media.prober import Prober
from rh_async.issues import Issue, display_text
from rh_async.models.base import MediaValue, Request
from rh_async.models.catalog import find_model
from rh_async.models.derived_key import derived_key
from rh_async.models.prices import Price, list_price, price_list_version
from rh_async.models.registry import spec_of

from .plan import Entry, Plan
from .validation import check

T = TypeVar("T")


@frozen(kw_only=True)
class JobDraft:
    """A job before its files are looked at; the words are those of `Entry`."""

    number: int
    source: str
    line: int | None = None
    key: str | None = None
    request: Request | None = None
    extra_columns: Mapping[str, Any] = field(factory=dict)
    issues: tuple[Issue, ...] = ()


def select_items(items: Iterable[T], *, limit: int | None, shuffle: Random | None) -> Iterator[T]:
    """The first few, after shuffling them all if asked to."""
    if shuffle is not None:
        items = list(items)
        shuffle.shuffle(items)
    return islice(items, None if limit is None else min(limit, sys.maxsize))


async def build_plan(drafts: Sequence[JobDraft], issues: Iterable[Issue], prober: Prober | None) -> Plan:
    """Look at the files of all drafts, and make the plan.

    :raises ConfigurationError: the ``media`` extra is not installed.
    """
    prober = prober or Prober()
    files, hash_all = await asyncio.to_thread(lambda: (_files(drafts), _has_uploads(drafts)))
    seen = await prober.probe(files) if files else {}
    contents = await prober.content_ids(files, hash_all=hash_all) if files else {}
    plan = await asyncio.to_thread(_plan, drafts, tuple(issues), seen, contents)
    return evolve(plan, files=prober.files)


def _files(drafts: Sequence[JobDraft]) -> dict[Path, None]:
    requests = (draft.request for draft in drafts if draft.request is not None)
    alike = {_assessment_key(request): request for request in requests}.values()
    return {media.path: None for request in alike for media in request.media()}


def _has_uploads(drafts: Sequence[JobDraft]) -> bool:
    """Whether a job names an upload by its hash, which may be that of another job's file."""
    requests = (draft.request for draft in drafts if draft.request is not None)
    return any(upload.sha256 for request in requests for upload in request.uploads())


def _plan(
    drafts: Sequence[JobDraft],
    issues: tuple[Issue, ...],
    seen: Mapping[Path, MediaInfo | Issue],
    contents: Mapping[Path, str],
) -> Plan:
    assessor = _Assessor(seen, contents)
    return Plan(
        entries=tuple(assessor.entry(draft) for draft in drafts),
        issues=issues,
        media_info={path: facts for path, facts in seen.items() if isinstance(facts, MediaInfo)},
        price_list=price_list_version(),
    )


@frozen
class _Assessment:
    """All that is the same for every job that asks for this.

    :param clip: as in `Entry`, and so ``characters``.
    """

    issues: tuple[Issue, ...]
    price: Price | None
    clip: MediaValue | None
    characters: tuple[MediaValue, ...]


@define
class _Assessor:
    seen: Mapping[Path, MediaInfo | Issue]
    contents: Mapping[Path, str]
    _assessments: dict[Hashable, _Assessment] = field(factory=dict, init=False)
    _first: dict[Hashable, JobDraft] = field(factory=dict, init=False)

    def entry(self, draft: JobDraft) -> Entry:
        request = draft.request
        if request is None:
            return Entry(
                number=draft.number,
                source=draft.source,
                line=draft.line,
                key=draft.key,
                extra_columns=draft.extra_columns,
                issues=draft.issues,
            )
        assessment = self._assessment(request)
        issues = (*draft.issues, *assessment.issues)
        first = None if any(issue.is_error for issue in issues) else self._earlier_job(draft, request)
        conflict = None if first is None else self._conflict(draft, first)
        return Entry(
            number=draft.number,
            source=draft.source,
            line=draft.line,
            clip=assessment.clip,
            characters=assessment.characters,
            request=request,
            key=draft.key,
            price=assessment.price,
            extra_columns=draft.extra_columns,
            issues=issues if conflict is None else (*issues, conflict),
            duplicate_of=first.number if first and conflict and not conflict.is_error else None,
        )

    def _assessment(self, request: Request) -> _Assessment:
        about = _assessment_key(request)
        return self._assessments.get(about) or self._assessments.setdefault(about, self._assess(request))

    def _assess(self, request: Request) -> _Assessment:
        return _Assessment(
            issues=check(request, self.seen),
            price=list_price(request, self.seen),
            clip=next(self._given(request, "VIDEO"), None),
            characters=tuple(self._given(request, "IMAGE")),
        )

    def _given(self, request: Request, kind: str) -> Iterator[MediaValue]:
        model = find_model(request.endpoint)
        for name, value in request.parameters().items():
            param = model.params.get(name) if model else None
            for one in value if isinstance(value, list | tuple) else (value,):
                if (param.type if param else self._family(one)) == kind:
                    yield one

    def _family(self, value: object) -> str | None:
        facts = self.seen.get(value) if isinstance(value, Path) else None
        return facts.family.upper() if isinstance(facts, MediaInfo) else None

    def _earlier_job(self, draft: JobDraft, request: Request) -> JobDraft | None:
        """The first job that can be sent and has its key, or of those without a key, that asks for the same."""
        first = self._first.setdefault(draft.key or self._dedup_key(request), draft)
        return None if first is draft else first

    def _dedup_key(self, request: Request) -> Hashable:
        """Equal where a run would buy once: as a run derives keys, with the files by what they hold."""
        return derived_key(request, self.contents)

    def _conflict(self, draft: JobDraft, first: JobDraft) -> Issue:
        assert draft.request is not None  # noqa: S101 - for the type checker: jobs without a request have no twin
        assert first.request is not None  # noqa: S101 - likewise
        if self._dedup_key(draft.request) == self._dedup_key(first.request):
            same_files = set(draft.request.media()) == set(first.request.media())
            why = "" if same_files else ", in files of other names that hold the same bytes"
            what = f"asks for the same as {_named(first)}{why}: bought once"
            hint = "Give it a key of its own to buy it again"
            return Issue(rule="duplicate", subject=_where(draft), message=what, hint=hint, severity="warning")
        key = display_text(draft.key or "")
        what = f"its key {key!r} is that of {_named(first)}, which asks for something else"
        return Issue(rule="key used twice", subject=_where(draft), message=what, hint="Give each its own key")


def _assessment_key(request: Request) -> Hashable:
    """What an opinion depends on: what the registry says of the model; of a model without a row, the request itself."""
    spec = spec_of(request)
    return id(request) if spec is None else spec.assessment_key(request)


def _named(draft: JobDraft) -> str:
    return f"job {draft.number} ({draft.source})" if draft.line is None else f"row {draft.number} (line {draft.line})"


def _where(draft: JobDraft) -> str:
    return draft.source if draft.line is None else f"{draft.source}:{draft.line}"
