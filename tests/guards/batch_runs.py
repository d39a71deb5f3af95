"""Run one batch twice, so that entries end in every state of the results log."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from rh_async import DreamActor, Session
from rh_async.batch import BatchOutcome, Entry, OutputNaming, Plan, Price
from rh_async.emulator import Emulator, Fault

VIDEO = "https://example.test/dance.mp4"


def plan() -> Plan:
    """Return a plan of eight entries, the second a duplicate of the first."""
    return Plan(entries=tuple(_entry(number, 1 if number == 2 else number) for number in range(1, 9)))


def _entry(number: int, hero: int) -> Entry:
    return Entry(
        number=number,
        source="by hand",
        clip=Path("dance.mp4"),
        characters=(Path(f"hero{hero}.png"),),
        request=DreamActor(f"https://example.test/hero{hero}.png", VIDEO),
        extra_columns={"scene": f"s{number}"},
        price=Price(Decimal("1.60"), "CNY"),
    )


async def run(server: Emulator, folder: Path) -> list[BatchOutcome]:
    """Run the plan to its end, one job at a time and so in order, with the folder's journal."""
    options: dict[str, Any] = {"base_url": server.url, "journal": folder / "journal.sqlite", "in_flight": 1}
    async with Session(server.api_key, **options) as session:
        return [outcome async for outcome in session.batch(plan(), folder / "out", naming=OutputNaming("{number}.mp4"))]


async def first_run(server: Emulator, folder: Path) -> list[BatchOutcome]:
    """Run it where a job fails, a submit is refused, one is unanswered, a download breaks, and the balance runs out."""
    server.faults.add(
        Fault("failed", nth=2),
        Fault("error_code", code="1501", nth=3),
        Fault("drop_after_accept", nth=4),
        Fault("truncated_file", nth=2, times=None),
        Fault("error_code", code="812", nth=6),
    )
    try:
        return await run(server, folder)
    finally:
        server.faults.clear()


def lines(folder: Path) -> list[dict[str, Any]]:
    """Read the results log."""
    return [json.loads(line) for line in (folder / "out" / "batch.jsonl").read_text().splitlines()]


def normalise(text: str, folder: Path) -> str:
    """Replace what differs from run to run; tasks are numbered in the order in which they appear."""
    text = text.replace(str(folder), "FOLDER")
    tasks = list(dict.fromkeys(re.findall(r"\b\d{19}\b", text)))
    for number, task in enumerate(tasks, start=1):
        text = text.replace(task, f"TASK-{number}")
    text = re.sub(r"\"\d{4}-\d\d-\d\dT[^\"]*\"", '"TIME"', text)
    text = re.sub(r"\(\w+Error: [^\"]*\)", "(CAUSE)", text)  # in the words of aiohttp
    return re.sub(r'("seconds": )[\d.e-]+', r"\1SECONDS", text)
