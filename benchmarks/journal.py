"""How many transitions share a commit, and how many submissions a second are made durable.

``uv run python -m benchmarks.journal [--quick]``: fifty jobs at a time are claimed, submitted and settled in the
session's journal, with nothing else in between; each transition is on disk before the next. ``alone`` makes the same
transitions with a commit for each, through the same SQL and on the same thread.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from benchmarks._report import Row, tabulate
from benchmarks._rivals import ENDPOINT
from rh_async._journal.records import SubmissionRecord, SubmissionState
from rh_async._journal.sqlite import SqliteStore
from rh_async._journal.submission_journal import SubmissionJournal
from rh_async.types import TaskId

BARS = {"commits_per_transition": 0.25}
_AT_ONCE = 50


def submission(number: int) -> SubmissionRecord:
    """Return the record of a submission."""
    return SubmissionRecord(
        key=f"clip-{number}",
        attempt=1,
        state=SubmissionState.CLAIMED,
        owner="",
        endpoint=ENDPOINT,
        inputs="{}",
        webhook_token=f"{number:032x}",
    )


async def process(journal: SubmissionJournal, numbers: Iterator[int]) -> None:
    """Take one job after another through every transition."""
    for number in numbers:
        record = (await journal.claim(submission(number))).record
        record = await journal.transition(record, SubmissionState.SUBMITTING)
        record = await journal.transition(record, SubmissionState.SUBMITTED, task_id=TaskId(str(10**18 + number)))
        await journal.transition(
            record, SubmissionState.SETTLED, raw=b'{"status":"SUCCESS"}', noticed_utc=datetime.now(UTC).isoformat()
        )


async def measure(path: Path, jobs: int, most: int | None) -> dict[str, float]:
    """Process jobs, many at a time."""
    journal = SubmissionJournal(store=SqliteStore(path, "http://127.0.0.1"), wall=lambda: datetime.now(UTC), most=most)
    await journal.open("f" * 32)
    began, numbers = perf_counter(), iter(range(jobs))
    await asyncio.gather(*(process(journal, numbers) for _ in range(_AT_ONCE)))
    seconds = perf_counter() - began
    settled = await journal.list_in_states([SubmissionState.SETTLED])
    await journal.close()
    if len(settled) != jobs:
        raise SystemExit(f"{len(settled)} of {jobs} jobs settled")
    return {
        "jobs": jobs,
        "commits_per_transition": journal.commits / journal.changes,
        "transitions_per_commit": journal.changes / journal.commits,
        "durable_jobs_per_second": jobs / seconds,
    }


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    jobs = 200 if quick else 5000
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            Row(client=client, figures=asyncio.run(measure(Path(folder, client), jobs, most)), bars=bars)
            for client, most, bars in (("rh_async", None, BARS), ("alone", 1, {}))
        ]
    return tabulate("journal", rows, keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
