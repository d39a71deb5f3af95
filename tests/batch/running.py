"""Plans to run, a way to run them, and what is left on the disk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rh_async import BatchOutcome, DreamActor, Plan, Request, Session, plan_folder
from rh_async._batch import Entry, Price
from rh_async.emulator import Emulator


async def product(stock: Path) -> Plan:
    """Three clips, each with three characters, priced: nine jobs from six files."""
    plan = await plan_folder(stock / "clip*.mp4", stock / "hero*.png", make=DreamActor, pair="product")
    assert len(plan.ready) == 9
    return plan


def plan_of(requests: Iterable[Request], *, price: Price | None = None) -> Plan:
    """A plan of requests as they are."""
    entries = (
        Entry(number=number, source="by hand", request=request, price=price)
        for number, request in enumerate(requests, start=1)
    )
    return Plan(entries=tuple(entries))


def opened(server: Emulator, folder: Path, **options: Any) -> Session:
    """A session with the folder's journal."""
    return Session(server.api_key, base_url=server.url, journal=folder / "journal.sqlite", **options)


async def run(server: Emulator, folder: Path, plan: Plan, *, options: Any = None, **how: Any) -> list[BatchOutcome]:
    """Run a plan to its end, in a session of its own."""
    async with opened(server, folder, **(options or {})) as session:
        return [outcome async for outcome in session.batch(plan, folder / "out", **how)]


def states(outcomes: Iterable[BatchOutcome]) -> dict[str, int]:
    """How many ended how."""
    return dict(Counter(outcome.state for outcome in outcomes))


def lines(folder: Path) -> list[dict[str, Any]]:
    """What ``batch.jsonl`` tells."""
    return [json.loads(line) for line in (folder / "out" / "batch.jsonl").read_text().splitlines()]


def videos(folder: Path) -> list[str]:
    """The outputs that are there."""
    return sorted(path.name for path in (folder / "out").glob("*.mp4"))


def each_file_went_up_once(server: Emulator) -> bool:
    """Whether no content was brought up twice."""
    return max(Counter(upload.sha256 for upload in server.ledger.uploads).values(), default=0) <= 1
