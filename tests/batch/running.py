"""Makes plans, runs them, and reads what a run left on the disk."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from rh_async import DreamActor, ModelRequest, Request, Session, plan_folder
from rh_async.batch import BatchOutcome, Entry, Plan, Price
from rh_async.emulator import Emulator, TaskRecord


async def product(stock: Path) -> Plan:
    """Plan three clips, each with three characters: nine priced jobs from six files."""
    plan = await plan_folder(stock / "clip*.mp4", stock / "hero*.png", make=DreamActor, pair="product")
    assert len(plan.ready) == 9
    return plan


def plan_of(requests: Iterable[Request], *, price: Price | None = None) -> Plan:
    """Make a plan of requests, in their order."""
    entries = (
        Entry(number=number, source="by hand", request=request, price=price)
        for number, request in enumerate(requests, start=1)
    )
    return Plan(entries=tuple(entries))


def opened(server: Emulator, folder: Path, **options: Any) -> Session:
    """Make a session with the folder's journal."""
    return Session(server.api_key, base_url=server.url, journal=folder / "journal.sqlite", **options)


async def run(server: Emulator, folder: Path, plan: Plan, *, options: Any = None, **how: Any) -> list[BatchOutcome]:
    """Run a plan to its end, in a session of its own."""
    async with opened(server, folder, **(options or {})) as session:
        return [outcome async for outcome in session.batch(plan, folder / "out", **how)]


def states(outcomes: Iterable[BatchOutcome]) -> dict[str, int]:
    """Count outcomes by their state."""
    return dict(Counter(outcome.state for outcome in outcomes))


def lines(folder: Path) -> list[dict[str, Any]]:
    """Read the results log."""
    return [json.loads(line) for line in (folder / "out" / "batch.jsonl").read_text().splitlines()]


def videos(folder: Path) -> list[str]:
    """Return the names of the saved outputs."""
    return sorted(path.name for path in (folder / "out").glob("*.mp4"))


def each_file_was_uploaded_once(server: Emulator) -> bool:
    """Return whether no content was uploaded twice."""
    return max(Counter(upload.sha256 for upload in server.ledger.uploads).values(), default=0) <= 1


def occupied(tasks: list[TaskRecord], limit: int) -> float:
    """Return the mean share of occupied slots, from when all first were until the last job was accepted."""
    first_full, last_accepted = sorted(task.created_at for task in tasks)[limit - 1], tasks[-1].created_at
    held = 0.0
    for task in tasks:
        assert task.settles_at is not None
        held += max(0.0, min(task.settles_at, last_accepted) - max(task.created_at, first_full))
    return held / (last_accepted - first_full) / limit


def long_runs(_endpoint: str, rng: Random) -> float:
    """Draw a run time: the median is three minutes, some are twice as long."""
    return rng.lognormvariate(math.log(180.0), 0.4)


def many(files: list[Path], jobs: int) -> Plan:
    """Make a plan of many different jobs that share a few files."""
    return plan_of(
        ModelRequest("bench/motion", {"seed": number, "imageUrl": files[number % len(files)]}) for number in range(jobs)
    )
