"""A journal that an earlier version wrote is opened, resumed and extended, and buys nothing again."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from rh_async import DreamActor, Session, SubmitUnknown
from rh_async.emulator import Emulator
from rh_async.errors import JobFailed
from tests.guards.batch_runs import VIDEO
from tests.guards.frozen_files import BATCHES, JOURNALS, restore_journal
from tests.guards.write_frozen import IMAGE, SEED, linked

TASKS = 8  #: that the frozen journals know


@pytest.fixture
async def server() -> AsyncIterator[Emulator]:
    async with Emulator(seed=SEED, run_time=20.0, task_ids_above=3 * 10**18) as server:  # no id is one of the journal's
        yield server


@pytest.fixture(params=JOURNALS, ids=lambda path: path.stem)
async def journal(request: pytest.FixtureRequest, server: Emulator, tmp_path: Path) -> Path:
    """A copy of a frozen journal, whose tasks the server knows."""
    copy = await restore_journal(request.param, server, tmp_path)
    assert len(server.ledger.submissions) == len(server.ledger.tasks) == TASKS
    return copy


def rows(journal: Path) -> dict[tuple[str, int], tuple[str, int]]:
    """Read the state of every attempt, and how many files it has."""
    with closing(sqlite3.connect(journal)) as db:
        found = db.execute("SELECT key, attempt, state, json_array_length(paths) FROM jobs")
        return {
            (key if key[:5] != "auto-" else "derived", attempt): (state, paths) for key, attempt, state, paths in found
        }


BEFORE = {
    ("lost", 1): ("lost", 0),
    ("saved", 1): ("saved", 1),
    ("settled", 1): ("settled", 0),
    ("settled", 2): ("settled", 0),
    ("derived", 1): ("settled", 0),
    ("failed", 1): ("settled", 0),
    ("refused", 1): ("refused", 0),
    ("uncertain", 1): ("uncertain", 0),
    ("abandoned", 1): ("abandoned", 0),
    ("running", 1): ("submitted", 0),
    ("running, no folder", 1): ("submitted", 0),
    ("submitting", 1): ("submitting", 0),
    ("claimed", 1): ("claimed", 0),
}
"""The states in which the frozen journal was written."""

SAVED = dict.fromkeys([("lost", 1), ("settled", 1), ("settled", 2), ("derived", 1), ("running", 1)], ("saved", 1))


async def test_resuming_it_saves_what_was_unfinished_and_submits_nothing(
    journal: Path, server: Emulator, tmp_path: Path
) -> None:
    assert rows(journal) == BEFORE
    async with Session(server.api_key, base_url=server.url, journal=journal) as session:
        resumed = await session.recovery.resume(output_dir=tmp_path / "later")
        assert {job.key for job in resumed.jobs} == {"lost", "running", "running, no folder"}
        results = {job.key: await job for job in resumed.jobs}
        assert results["running"].paths[0].parent == tmp_path / "out"
        assert results["running, no folder"].paths[0].parent == results["lost"].paths[0].parent == tmp_path / "later"
        assert len(resumed.saved) == 3
        assert (resumed.failed, resumed.lost, resumed.held) == ((), (), ())
        assert [record.key for record in resumed.unconfirmed] == ["submitting"]
        assert {record.key for record in await session.recovery.unconfirmed()} == {"submitting", "uncertain"}
    assert len(server.ledger.submissions) == TASKS
    later = {**SAVED, ("running, no folder", 1): ("saved", 1), ("submitting", 1): ("uncertain", 0)}
    assert rows(journal) == BEFORE | later


async def test_every_key_in_it_ends_as_it_ended_and_only_what_was_never_bought_is_bought(
    journal: Path, server: Emulator, tmp_path: Path
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal) as session:
        known = {record.key: record.task_id async for record in session.jobs(state=["settled", "saved", "submitted"])}
        (tmp_path / "hero.png").write_bytes(IMAGE)
        requests = {"saved": DreamActor(tmp_path / "hero.png", VIDEO), "settled": linked(2), "running": linked(5)}
        for key, request in requests.items():
            assert (await session.run(request, idempotency_key=key)).task_id == known[key]
        assert (await session.run(linked(3))).task_id in known.values()  # its key is derived
        with pytest.raises(JobFailed):
            await session.run(linked(4), idempotency_key="failed")
        for key, request in {"uncertain": linked(4), "submitting": linked(7)}.items():
            with pytest.raises(SubmitUnknown):
                await session.run(request, idempotency_key=key)
        assert len(server.ledger.submissions) == TASKS
        for key, number in {"refused": 4, "abandoned": 4, "claimed": 8}.items():
            assert (await session.run(linked(number), idempotency_key=key)).task_id not in known.values()
    assert len(server.ledger.submissions) == TASKS + 3


async def test_a_new_job_extends_it_and_uses_the_upload_that_it_knows(
    journal: Path, server: Emulator, tmp_path: Path
) -> None:
    (tmp_path / "hero.png").write_bytes(IMAGE)
    async with Session(server.api_key, base_url=server.url, journal=journal) as session:
        await session.run(
            DreamActor(tmp_path / "hero.png", f"{VIDEO}?new"), idempotency_key="new", output_dir=tmp_path / "out"
        )
    async with Session(server.api_key, base_url=server.url, journal=journal) as session:
        await session.run(
            DreamActor(tmp_path / "hero.png", f"{VIDEO}?new"), idempotency_key="new", output_dir=tmp_path / "out"
        )
    assert len(server.ledger.uploads) == 1  # the one that restoring the journal made
    assert len(server.ledger.submissions) == TASKS + 1
    assert rows(journal) == BEFORE | {("new", 1): ("saved", 1)}


async def test_a_journal_and_a_batch_of_the_schema_of_today_are_among_the_frozen_files(
    server: Emulator, tmp_path: Path
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=tmp_path / "new.sqlite"):
        pass
    with closing(sqlite3.connect(tmp_path / "new.sqlite")) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
    assert f"journal-v{version}" in {path.stem for path in JOURNALS}, "run: python -m tests.guards.write_frozen"
    assert f"batch-v{version}" in {path.name for path in BATCHES}
