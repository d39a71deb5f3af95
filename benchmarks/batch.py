"""How full a batch keeps its slots, and whether two thousand jobs take more memory than a few.

``uv run python -m benchmarks.batch [--quick]``: 2,000 jobs (300 with ``--quick``) of three minutes in virtual time,
from five files, fifty at once, with a journal, every output on disk. ``empty_slot_share`` is the share of the slots
that are free, on average, from when all were first taken until the last job was accepted, by the server's ledger. RSS
is the process's, with the emulator in it, from the moment at which a hundred outcomes are known to the end.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterable
from pathlib import Path

from benchmarks._report import report
from benchmarks.uploads import peak_rss_mb
from rh_async import Session
from rh_async.batch import BatchOutcome
from rh_async.emulator import Emulator, Ledger
from tests.batch.makers import paint
from tests.batch.running import long_runs, many, occupied
from tests.virtual_clock import VirtualClockLoop

BARS = {
    "empty_slot_share": 0.015,
    "rss_growth_mb": 64.0,
    "uploads_per_file": 1.0,
    "not_saved": 0.0,
    "billed_twice": 0.0,
}
_SLOTS = 50
_FILES = 5
_WARM = 100


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        figures = runner.run(measure(Path(folder), 300 if quick else 2_000))
    return report("batch", figures, BARS, keep=not quick)


async def measure(folder: Path, jobs: int) -> dict[str, float]:
    """Run a batch to its end."""
    files = [paint(folder / f"{number}.png", size=(300 + number, 400)) for number in range(_FILES)]
    async with Emulator(seed=1, limit=_SLOTS, run_time=long_runs) as server:
        async with Session(
            server.api_key, base_url=server.url, journal=folder / "journal.sqlite", in_flight=_SLOTS
        ) as session:
            states, growth = await _read(session.batch(many(files, jobs), folder / "out"))
        return {"jobs": jobs, "rss_growth_mb": growth, "not_saved": jobs - states["saved"], **_seen(server.ledger)}


async def _read(outcomes: AsyncIterable[BatchOutcome]) -> tuple[Counter[str], float]:
    states: Counter[str] = Counter()
    before = 0.0
    async for outcome in outcomes:
        states[outcome.state] += 1
        if states.total() == _WARM:
            before = peak_rss_mb()
    return states, peak_rss_mb() - before


def _seen(ledger: Ledger) -> dict[str, float]:
    """Return what the server saw."""
    bodies = Counter(submission.body["seed"] for submission in ledger.submissions if submission.task_id)
    polls = sum(call.kind != "account" for call in ledger.calls)
    return {
        "empty_slot_share": 1 - occupied(ledger.tasks, _SLOTS),
        "uploads_per_file": max(Counter(upload.sha256 for upload in ledger.uploads).values()),
        "billed_twice": sum(times - 1 for times in bodies.values()),
        "polls_per_job": polls / len(ledger.tasks),
    }


if __name__ == "__main__":
    sys.exit(main())
