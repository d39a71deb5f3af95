"""From drafts to a plan: every distinct file is looked at once, every distinct request judged once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TypeVar

from attrs import define, field, frozen

from rh_async._request import MediaValue, Request

from ._catalog import model_of
from ._entries import Entry, Plan
from ._facts import Facts
from ._findings import Finding, shown
from ._limits import check
from ._prices import Price, dated, list_price
from ._prober import Prober

T = TypeVar("T")


@frozen(kw_only=True)
class Draft:
    """A job before its files are looked at; the words are those of `Entry`."""

    number: int
    source: str
    line: int | None = None
    key: str | None = None
    request: Request | None = None
    findings: tuple[Finding, ...] = ()


def chosen(items: Iterable[T], *, limit: int | None, shuffle: Random | None) -> list[T]:
    """The first few, after shuffling them all if asked to."""
    every = list(items)
    if shuffle is not None:
        shuffle.shuffle(every)
    return every[:limit]


async def judged(drafts: Sequence[Draft], findings: Iterable[Finding], prober: Prober | None) -> Plan:
    """Look at the files of all drafts, and make the plan.

    :raises ConfigurationError: the ``media`` extra is not installed.
    """
    files = await asyncio.to_thread(_files, drafts)
    seen = await (prober or Prober()).look(files) if files else {}
    return await asyncio.to_thread(_plan, drafts, tuple(findings), seen)


def _files(drafts: Sequence[Draft]) -> dict[Path, None]:
    requests = {id(draft.request): draft.request for draft in drafts}.values()
    return {media.path: None for request in requests if request is not None for media in request.media()}


def _plan(drafts: Sequence[Draft], findings: tuple[Finding, ...], seen: Mapping[Path, Facts | Finding]) -> Plan:
    judge = _Judge(seen)
    return Plan(
        entries=tuple(judge.entry(draft) for draft in drafts),
        findings=findings,
        facts={path: facts for path, facts in seen.items() if isinstance(facts, Facts)},
        prices=dated(),
    )


@frozen
class _Opinion:
    """All that is the same for every job that asks for this.

    :param sameness: equal where requests are.
    """

    sameness: str
    findings: tuple[Finding, ...]
    price: Price | None
    clip: MediaValue | None
    characters: tuple[MediaValue, ...]


@define
class _Judge:
    seen: Mapping[Path, Facts | Finding]
    _opinions: dict[int, _Opinion] = field(factory=dict, init=False)
    _first: dict[tuple[str | None, str], int] = field(factory=dict, init=False)
    _keys: dict[str, tuple[str, int]] = field(factory=dict, init=False)

    def entry(self, draft: Draft) -> Entry:
        request = draft.request
        if request is None:
            return Entry(
                number=draft.number, source=draft.source, line=draft.line, key=draft.key, findings=draft.findings
            )
        opinion = self._opinions.get(id(request)) or self._opinion(request)
        twin = self._twin(draft, opinion)
        return Entry(
            number=draft.number,
            source=draft.source,
            line=draft.line,
            clip=opinion.clip,
            characters=opinion.characters,
            request=request,
            key=draft.key,
            price=opinion.price,
            findings=(*draft.findings, *opinion.findings, *self._twin_finding(draft, twin), *self._key(draft, opinion)),
            twin=twin,
        )

    def _opinion(self, request: Request) -> _Opinion:
        opinion = _Opinion(
            sameness=repr((request.endpoint, request.parameters(), request.webhook_url)),
            findings=check(request, self.seen),
            price=list_price(request, self.seen),
            clip=next(self._given(request, "VIDEO"), None),
            characters=tuple(self._given(request, "IMAGE")),
        )
        return self._opinions.setdefault(id(request), opinion)

    def _given(self, request: Request, kind: str) -> Iterator[MediaValue]:
        model = model_of(request.endpoint)
        for name, value in request.parameters().items():
            param = model.params.get(name) if model else None
            for one in value if isinstance(value, list | tuple) else (value,):
                if (param.type if param else self._family(one)) == kind:
                    yield one

    def _family(self, value: object) -> str | None:
        facts = self.seen.get(value) if isinstance(value, Path) else None
        return facts.family.upper() if isinstance(facts, Facts) else None

    def _twin(self, draft: Draft, opinion: _Opinion) -> int | None:
        first = self._first.setdefault((draft.key, opinion.sameness), draft.number)
        return None if first == draft.number else first

    def _twin_finding(self, draft: Draft, twin: int | None) -> tuple[Finding, ...]:
        if twin is None:
            return ()
        what, remedy = f"asks for the same as row {twin}: bought once", "Give it a key of its own to buy it again"
        return (Finding(rule="duplicate", thing=_where(draft), what=what, remedy=remedy, refuses=False),)

    def _key(self, draft: Draft, opinion: _Opinion) -> tuple[Finding, ...]:
        if draft.key is None:
            return ()
        asked, row = self._keys.setdefault(draft.key, (opinion.sameness, draft.number))
        if asked == opinion.sameness:
            return ()
        what, remedy = (
            f"key {shown(draft.key)!r} is row {row}'s, which asks for something else",
            "Give each its own key",
        )
        return (Finding(rule="key used twice", thing=_where(draft), what=what, remedy=remedy),)


def _where(draft: Draft) -> str:
    return draft.source if draft.line is None else f"{draft.source}:{draft.line}"
