"""While another process holds the journal's write lock, as a backup does: what is bought stays known."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from rh_async import DreamActor, Job, JournalError, Session
from rh_async._journal.records import SubmissionState
from rh_async._journal.sqlite_file import JournalFile
from rh_async.emulator import Emulator, Fault
from rh_async.events import Event, Waiting
from tests.faults.test_giving_up import until
from tests.journal.killing import rows_of, sqlite_of


def request(number: int) -> DreamActor:
    return DreamActor("https://example.test/hero.png", f"https://example.test/{number}.mp4")


class Holder:
    """Another user of the file, who takes its write lock and lets it go."""

    def __init__(self, journal_path: Path) -> None:
        self._db = sqlite3.connect(journal_path, isolation_level=None, timeout=10)

    def take(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        self._db.close()


@pytest.fixture(autouse=True)
def no_real_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is held is found to be held at once: SQLite's own wait for it is in real time."""
    monkeypatch.setattr("rh_async._journal.sqlite_file._BUSY_PATIENCE", 0.0)


@pytest.fixture
def holder(journal_path: Path) -> Iterator[Holder]:
    holder = Holder(journal_path)
    yield holder
    holder.close()


def states(journal_path: Path) -> list[SubmissionState]:
    return [row.state for row in rows_of(journal_path)]


async def accepted_while_held(server: Emulator, session: Session, holder: Holder) -> list[Job]:
    """Three jobs whose answers come when the lock is held."""
    server.faults.add(Fault("slow_response", route="submit", seconds=5, times=None))
    jobs = [session.submit_nowait(request(number)) for number in range(3)]
    await until(lambda: len(server.ledger.tasks) == 3)
    holder.take()
    async with asyncio.timeout(60):
        for job in jobs:
            await job.accepted()
    return jobs


async def test_a_task_accepted_while_the_lock_is_held_is_polled_reported_and_written_later(
    server: Emulator, journal_path: Path, holder: Holder
) -> None:
    events: list[Event] = []
    async with Session(server.api_key, base_url=server.url, journal=journal_path, on_event=events.append) as session:
        jobs = await accepted_while_held(server, session, holder)
        assert sorted(str(job.task_id) for job in jobs) == sorted(task.task_id for task in server.ledger.tasks)
        async with asyncio.timeout(600):
            assert all([(await job).outputs for job in jobs])
        assert states(journal_path) == [SubmissionState.SUBMITTING] * 3
        server.faults.clear()
        later = session.submit_nowait(request(3))
        await asyncio.sleep(600)
        assert len(server.ledger.submissions) == 3
        assert not later.done
        assert [event.reason for event in events if isinstance(event, Waiting)] == ["journal"]
        holder.let_go()
        assert (await later).outputs
    assert states(journal_path) == [SubmissionState.SETTLED] * 4
    assert len(server.ledger.tasks) == 4


async def test_a_session_that_is_left_while_the_lock_is_held_writes_everything_first(
    server: Emulator, journal_path: Path, holder: Holder
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        jobs = await accepted_while_held(server, session, holder)
        waiting = session.submit_nowait(request(3))
        asyncio.get_running_loop().call_later(120, holder.let_go)
    assert asyncio.get_running_loop().time() > 120
    assert waiting.error is not None
    assert not waiting.error.maybe_billed
    assert {row.task_id: row.state for row in rows_of(journal_path)} == dict.fromkeys(
        (job.task_id for job in jobs), SubmissionState.SUBMITTED
    )
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        assert all([(await session.run(request(number))).outputs for number in range(3)])
    assert len(server.ledger.submissions) == 3


async def test_what_a_lock_kept_from_being_written_for_ever_is_logged_and_bought_no_second_time(
    server: Emulator, journal_path: Path, holder: Holder, caplog: pytest.LogCaptureFixture
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        await accepted_while_held(server, session, holder)
    said = [record.message for record in caplog.records if record.message.startswith("rh_async.journal_unwritten")]
    for task in server.ledger.tasks:  # what stands nowhere else
        assert any(f"task {task.task_id} is submitted" in line for line in said)
    holder.let_go()
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        assert len((await session.recovery.resume()).unconfirmed) == 3
    assert len(server.ledger.submissions) == 3


@pytest.mark.parametrize("held_at", ["claim", "submitting"])
async def test_a_job_that_waits_for_the_lock_can_be_withdrawn_and_leaves_nothing(
    held_at: str, server: Emulator, journal_path: Path, holder: Holder
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path, in_flight=1) as session:
        first = await session.submit(request(0))
        if held_at == "claim":
            holder.take()
        job = session.submit_nowait(request(1))
        if held_at == "submitting":
            await until(lambda: len(rows_of(journal_path)) == 2)  # claimed, and waiting for the place
            holder.take()
        await first
        await asyncio.sleep(60)
        assert not job.done
        await job.cancel()
        await asyncio.sleep(1)
        assert job.done
        holder.let_go()
    assert [row.state for row in rows_of(journal_path) if row.task_id is None] == []
    assert len(server.ledger.submissions) == 1


async def test_one_change_that_cannot_be_written_fails_alone_and_with_its_cause(
    server: Emulator, journal_path: Path
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        assert session._lifetime.runtime is not None
        journal = session._lifetime.runtime.journal
        assert journal is not None
        bad = journal._writer.intend(lambda: sqlite_of(journal)._db.execute("SELECT ?", ("\ud800",)))
        ends = await asyncio.gather(session.submit(request(1)), bad, session.submit(request(2)), return_exceptions=True)
        assert [isinstance(end, JournalError) for end in ends] == [False, True, False]
        assert isinstance(ends[1], JournalError)
        assert isinstance(ends[1].__cause__, UnicodeEncodeError)
    assert states(journal_path) == [SubmissionState.SUBMITTED] * 2


async def test_a_lack_of_descriptors_is_waited_out_by_the_journal(
    server: Emulator, journal_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        await session.run(request(0))
        lost, left = JournalFile.lost, iter(range(20))

        def exhausted(file: JournalFile) -> JournalError | None:
            if next(left, None) is not None:
                raise OSError(24, "Too many open files")
            return lost(file)

        monkeypatch.setattr(JournalFile, "lost", exhausted)
        assert (await session.run(request(1))).outputs
    assert [record.message for record in caplog.records if "Too many open files" in record.message]
    assert states(journal_path) == [SubmissionState.SETTLED] * 2
