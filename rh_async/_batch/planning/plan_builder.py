"""Builds a plan from drafts of jobs: probes each distinct file once and assesses each distinct request once."""

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
from rh_async.issues import Issue, display_text
from rh_async.models.base import MediaValue, Request
from rh_async.models.catalog import find_model
from rh_async.models.derived_key import derived_key
from rh_async.models.prices import Price, list_price, price_list_version
from rh_async.models.registry import spec_of

from .plan import Entry, Plan
from .prober import Prober
from .validation import check

T = TypeVar("T")


@frozen(kw_only=True)
class JobDraft:
    """A job before its files are probed; the fields are those of `Entry`."""

    number: int
    source: str
    line: int | None = None
    key: str | None = None
    request: Request | None = None
    extra_columns: Mapping[str, Any] = field(factory=dict)
    issues: tuple[Issue, ...] = ()


def select_items(items: Iterable[T], *, limit: int | None, shuffle: Random | None) -> Iterator[T]:
    """Return the first ``limit`` items, after shuffling all of them if asked to."""
    if shuffle is not None:
        items = list(items)
        shuffle.shuffle(items)
    return islice(items, None if limit is None else min(limit, sys.maxsize))


async def build_plan(drafts: Sequence[JobDraft], issues: Iterable[Issue], prober: Prober | None) -> Plan:
    """Probe the files of all drafts, and make the plan.

    :raises ConfigurationError: the ``media`` extra is not installed.
    """
    prober = prober or Prober()
    files, hash_all = await asyncio.to_thread(lambda: (_files(drafts), _has_uploads(drafts)))
    media_info = await prober.probe(files) if files else {}
    sha256s = await prober.content_ids(files, hash_all=hash_all) if files else {}
    plan = await asyncio.to_thread(_plan, drafts, tuple(issues), media_info, sha256s)
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
    media_info: Mapping[Path, MediaInfo | Issue],
    sha256s: Mapping[Path, str],
) -> Plan:
    assessor = _Assessor(media_info, sha256s)
    return Plan(
        entries=tuple(assessor.entry(draft) for draft in drafts),
        issues=issues,
        media_info={path: info for path, info in media_info.items() if isinstance(info, MediaInfo)},
        price_list=price_list_version(),
    )


@frozen
class _Assessment:
    """What is the same for all jobs whose requests have one assessment key.

    :param clip: as in `Entry`, and so ``characters``.
    """

    issues: tuple[Issue, ...]
    price: Price | None
    clip: MediaValue | None
    characters: tuple[MediaValue, ...]


@define
class _Assessor:
    media_info: Mapping[Path, MediaInfo | Issue]
    sha256s: Mapping[Path, str]
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
        assessment_key = _assessment_key(request)
        return self._assessments.get(assessment_key) or self._assessments.setdefault(
            assessment_key, self._assess(request)
        )

    def _assess(self, request: Request) -> _Assessment:
        return _Assessment(
            issues=check(request, self.media_info),
            price=list_price(request, self.media_info),
            clip=next(self._media_of(request, "VIDEO"), None),
            characters=tuple(self._media_of(request, "IMAGE")),
        )

    def _media_of(self, request: Request, kind: str) -> Iterator[MediaValue]:
        model = find_model(request.endpoint)
        for name, value in request.parameters().items():
            param = model.params.get(name) if model else None
            for one in value if isinstance(value, list | tuple) else (value,):
                if (param.type if param else self._family(one)) == kind:
                    yield one

    def _family(self, value: object) -> str | None:
        info = self.media_info.get(value) if isinstance(value, Path) else None
        return info.family.upper() if isinstance(info, MediaInfo) else None

    def _earlier_job(self, draft: JobDraft, request: Request) -> JobDraft | None:
        """Return the first valid job with the draft's key; without a key, the first with an equal request.

        Invalid jobs do not count: one that is not submitted can share no submission.
        """
        first = self._first.setdefault(draft.key or self._dedup_key(request), draft)
        return None if first is draft else first

    def _dedup_key(self, request: Request) -> Hashable:
        """Return the key that a run would derive: equal requests, by the content of their files, are submitted once."""
        return derived_key(request, self.sha256s)

    def _conflict(self, draft: JobDraft, first: JobDraft) -> Issue:
        assert draft.request is not None  # noqa: S101 - for the type checker: only drafts with a request get here
        assert first.request is not None  # noqa: S101 - likewise
        if self._dedup_key(draft.request) == self._dedup_key(first.request):
            same_files = set(draft.request.media()) == set(first.request.media())
            why = "" if same_files else ", in files of other names that hold the same bytes"
            message = f"asks for the same as {_job_name(first)}{why}: bought once"
            hint = "Give it a key of its own to buy it again"
            return Issue(rule="duplicate", subject=_origin(draft), message=message, hint=hint, severity="warning")
        key = display_text(draft.key or "")
        message = f"its key {key!r} is that of {_job_name(first)}, which asks for something else"
        return Issue(rule="key used twice", subject=_origin(draft), message=message, hint="Give each its own key")


def _assessment_key(request: Request) -> Hashable:
    """Return what an assessment depends on: what the registry says of the model; without a row there, the request."""
    spec = spec_of(request)
    return id(request) if spec is None else spec.assessment_key(request)


def _job_name(draft: JobDraft) -> str:
    return f"job {draft.number} ({draft.source})" if draft.line is None else f"row {draft.number} (line {draft.line})"


def _origin(draft: JobDraft) -> str:
    return draft.source if draft.line is None else f"{draft.source}:{draft.line}"
