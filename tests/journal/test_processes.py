"""Real processes and real kills, in real time."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import crash
from benchmarks._batch import Batch, begin, key_of, messages, request_of
from benchmarks._command import COMMAND
from benchmarks._server import emulator_process
from rh_async._journal.records import SubmissionState
from tests.journal.killing import rows_of

pytestmark = pytest.mark.processes

KEYS = tuple(f"clip-{number}" for number in range(200))
PATIENCE = 60.0  # seconds
TOKEN = "of the emulator in the other process"


@pytest.fixture
def site() -> Iterator[tuple[str, str]]:
    with emulator_process(seed=1, run_time=0.1, limit=500, admin_token=TOKEN) as site:
        yield site


def batch_at(site: tuple[str, str], folder: Path) -> Batch:
    url, api_key = site
    return Batch(url=url, api_key=api_key, journal=folder / "journal.db", folder=folder, keys=KEYS, read=10.0)


def bought(site: tuple[str, str]) -> dict[str, list[str]]:
    """Every key's tasks, as the server has them."""
    tasks: dict[str, list[str]] = {}
    for task in crash.AdminClient(site[0], TOKEN).request("GET", "ledger")["tasks"]:
        tasks.setdefault(key_of(task["endpoint"]), []).append(task["task_id"])
    return tasks


def done_by(batch: Batch, *, kill_after: int | None = None) -> list[str] | None:
    """Run a process to its end, or kill it after so many messages; return the keys that have results."""
    process, pipe = begin(batch)
    patience = threading.Timer(PATIENCE, process.kill)
    patience.start()
    received: list[Any] = []
    for message in messages(pipe):
        received.append(message)
        if len(received) == kill_after:
            process.kill()
    patience.cancel()
    process.join()
    return received[-1] if received and isinstance(received[-1], list) else None


async def both(*calls: Any) -> list[Any]:
    return list(await asyncio.gather(*(asyncio.to_thread(call) for call in calls)))


def test_a_batch_killed_again_and_again_is_bought_once_and_saved(tmp_path: Path) -> None:
    found, faults = crash.play(4, 7, tmp_path)
    assert found["billed_twice"] == found["lost"] == found["unexplained"] == found["unsaved"] == 0
    assert found["wanted"] == found["saved"] + found["unconfirmed"] == 48
    assert found["kills"]
    assert faults


def test_a_command_killed_again_and_again_buys_once_and_leaves_each_video_with_its_sidecar_and_its_line(
    tmp_path: Path,
) -> None:
    found, _ = crash.play(1, 331, tmp_path, COMMAND)  # a seed that kills it early, midway and late
    assert {name: count for name, count in found.items() if count and name not in crash.MEASURED} == {}
    assert found["wanted"] == found["saved"] + found["unconfirmed"] == 12
    assert found["kills"] >= 2


def test_two_processes_that_want_the_same_keys_at_once_buy_each_once_and_both_have_it(
    site: tuple[str, str], tmp_path: Path
) -> None:
    batch = batch_at(site, tmp_path)
    with asyncio.Runner() as real_time:
        ends = real_time.run(both(lambda: done_by(batch), lambda: done_by(batch)))
    assert [len(end or []) for end in ends] == [200, 200]
    assert Counter(map(len, bought(site).values())) == {1: 200}
    assert {row.state for row in rows_of(batch.journal)} == {SubmissionState.SAVED}


def test_when_one_of_two_processes_is_killed_midway_the_other_finishes_and_buys_nothing_twice(
    site: tuple[str, str], tmp_path: Path
) -> None:
    batch = batch_at(site, tmp_path)
    with asyncio.Runner() as real_time:
        ends = real_time.run(both(lambda: done_by(batch, kill_after=150), lambda: done_by(batch)))
        assert ends[0] is None
        doubtful = {row.key for row in rows_of(batch.journal) if row.state is SubmissionState.UNCERTAIN}
        assert set(ends[1]) == set(KEYS) - doubtful
        assert {key for key, tasks in bought(site).items() if len(tasks) != 1} == set()
        assert set(bought(site)) >= set(KEYS) - doubtful
        real_time.run(_settle(batch, doubtful, bought(site)))
    assert Counter(map(len, bought(site).values())) == {1: 200}
    assert {row.key for row in rows_of(batch.journal) if row.state is SubmissionState.SAVED} == set(KEYS)


async def _settle(batch: Batch, doubtful: set[str], tasks: dict[str, list[str]]) -> None:
    """Do what a person does who looks each doubtful submit up in the console."""
    async with asyncio.timeout(PATIENCE), batch.session() as session:
        for key in doubtful:
            if key in tasks:
                await session.recovery.confirm(key, task_id=tasks[key][0])
            else:
                await session.recovery.discard(key)
            await session.run(request_of(key), idempotency_key=key, output_dir=batch.folder)
