"""A task that the server did not know is asked about again, and bought again only if it is still unknown."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from rh_async import DreamActor, RetryPolicy, Session
from rh_async._journal.records import SubmissionState
from rh_async.emulator import Emulator, Fault
from rh_async.errors import JobLost, KeyConflict, ResponseLost
from tests.journal.killing import rows_of
from tests.journal.test_memory import delivery

Open = Callable[..., Session]
LINKED = DreamActor("https://example.test/hero.png", "https://example.test/dance.mp4")
FORGOTTEN = Fault("error_code", route="query", code="1004", times=None)


@pytest.fixture
async def server() -> AsyncIterator[Emulator]:
    async with Emulator(seed=1, run_time=200.0) as server:
        yield server


@pytest.fixture
def open_session(server: Emulator, journal_path: Path) -> Open:
    def opened(**more: Any) -> Session:
        return Session(server.api_key, base_url=server.url, journal=journal_path, **more)

    return opened


@pytest.fixture
async def lost(open_session: Open, server: Emulator, journal_path: Path) -> str:
    """A job with the key ``clip`` whose task the server does not know; the task."""
    server.faults.add(FORGOTTEN)
    async with open_session() as session:
        with pytest.raises(JobLost) as caught:
            await session.run(LINKED, idempotency_key="clip")
    assert states(journal_path) == [SubmissionState.LOST]
    return str(caught.value.task_id)


def states(journal_path: Path) -> list[SubmissionState]:
    return [row.state for row in rows_of(journal_path)]


async def test_the_same_submission_again_finds_what_the_server_knows_after_all(
    lost: str, open_session: Open, server: Emulator, journal_path: Path
) -> None:
    server.faults.clear()
    async with open_session() as session:
        assert (await session.run(LINKED, idempotency_key="clip")).task_id == lost
    assert states(journal_path) == [SubmissionState.SETTLED]
    assert len(server.ledger.submissions) == 1


@pytest.mark.parametrize("wait", [0.0, 40 * 3600.0])
async def test_resume_watches_it_again_and_saves_it_however_late(
    wait: float, lost: str, open_session: Open, server: Emulator, journal_path: Path, tmp_path: Path
) -> None:
    server.faults.clear()
    await asyncio.sleep(wait)
    async with open_session() as session:
        resumed = await session.recovery.resume(output_dir=tmp_path / "out")
        (job,) = resumed.jobs
        result = await job
    assert (result.task_id, resumed.lost) == (lost, ())
    assert result.paths[0].stat().st_size
    assert states(journal_path) == [SubmissionState.SAVED]
    assert len(server.ledger.submissions) == 1


async def test_in_the_session_that_lost_it_resume_finds_it_too(open_session: Open, server: Emulator) -> None:
    server.faults.add(FORGOTTEN)
    async with open_session() as session:
        with pytest.raises(JobLost):
            await session.run(LINKED, idempotency_key="clip")
        server.faults.clear()
        (job,) = (await session.recovery.resume()).jobs
        assert (await job).outputs
    assert len(server.ledger.submissions) == 1


async def test_what_is_still_unknown_stays_lost_and_is_named(
    lost: str, open_session: Open, server: Emulator, journal_path: Path
) -> None:
    for _ in range(2):
        async with open_session() as session:
            resumed = await session.recovery.resume()
            assert ([record.task_id for record in resumed.lost], resumed.jobs) == ([lost], ())
            with pytest.raises(JobLost):
                await session.run(LINKED, idempotency_key="clip")
    assert states(journal_path) == [SubmissionState.LOST]
    assert len(server.ledger.submissions) == 1


async def test_resubmit_buys_only_what_the_server_still_does_not_know(
    lost: str, open_session: Open, server: Emulator, journal_path: Path
) -> None:
    asked = len(server.ledger.calls)
    buying = asyncio.ensure_future(_run_again(open_session()))
    while len(server.ledger.submissions) < 2:  # noqa: ASYNC110 - a ledger rings no bell
        await asyncio.sleep(0.1)
    server.faults.clear()
    assert server.ledger.calls[asked].task_id == lost  # before it was bought
    assert await buying != lost
    assert states(journal_path) == [SubmissionState.LOST, SubmissionState.SETTLED]
    assert len(server.ledger.submissions) == 2


async def test_resubmit_buys_nothing_where_the_server_knows_the_task_after_all(
    lost: str, open_session: Open, server: Emulator, journal_path: Path
) -> None:
    server.faults.clear()
    assert await _run_again(open_session()) == lost
    assert states(journal_path) == [SubmissionState.SETTLED]
    assert len(server.ledger.submissions) == 1
    assert await _run_again(open_session()) != lost  # what has its end is bought again knowingly, as ever


async def test_resubmit_buys_nothing_where_the_server_cannot_be_asked(
    lost: str, open_session: Open, server: Emulator, journal_path: Path
) -> None:
    server.faults.clear()
    server.faults.add(Fault("hang", route="query", times=None))
    with pytest.raises(ResponseLost):
        await _run_again(open_session(retry=RetryPolicy(give_up_after=60.0)))
    assert states(journal_path) == [SubmissionState.LOST]
    assert len(server.ledger.submissions) == 1


async def test_a_lost_task_that_failed_meanwhile_is_reported_as_failed(
    lost: str, open_session: Open, server: Emulator
) -> None:
    server.faults.clear()
    async with open_session() as session:
        await session.cancel(lost)
    async with open_session() as session:
        (job,) = (await session.recovery.resume()).jobs
        await asyncio.wait([asyncio.ensure_future(_ended(job))])
    assert type(job.error) is not JobLost
    assert len(server.ledger.submissions) == 1


async def test_a_lost_key_is_refused_to_another_job(lost: str, open_session: Open, server: Emulator) -> None:
    async with open_session() as session:
        with pytest.raises(KeyConflict):
            await session.run(evolve(LINKED, image="https://example.test/villain.png"), idempotency_key="clip")
    assert len(server.ledger.submissions) == 1
    assert lost


async def test_two_sessions_that_come_back_at_once_share_what_was_lost(
    lost: str, open_session: Open, server: Emulator
) -> None:
    server.faults.clear()
    async with open_session() as one, open_session() as two:
        both = await asyncio.gather(one.recovery.resume(), two.recovery.resume())
        (job,) = [job for found in both for job in found.jobs]
        assert (await job).task_id == lost
    assert len(server.ledger.submissions) == 1


async def test_a_delivery_about_a_lost_task_has_it_watched_again(open_session: Open, server: Emulator) -> None:
    server.faults.add(FORGOTTEN)
    hooked = evolve(LINKED, webhook_url="https://mine.test/hook")
    async with open_session() as session:
        with pytest.raises(JobLost) as caught:
            await session.run(hooked, idempotency_key="clip")
        server.faults.clear()
        nonce = server.ledger.submissions[0].body["webhookUrl"].partition("rh_nonce=")[2]
        job = await session.handle_webhook(delivery(str(caught.value.task_id), shape="v2"), token=nonce)
        assert job is not None
        assert (await job).outputs
    assert len(server.ledger.submissions) == 1


async def test_a_delivery_about_another_task_than_the_lost_one_is_not_taken_for_it(
    open_session: Open, server: Emulator, journal_path: Path
) -> None:
    server.faults.add(FORGOTTEN)
    async with open_session() as session:
        with pytest.raises(JobLost):
            await session.run(evolve(LINKED, webhook_url="https://mine.test/hook"), idempotency_key="clip")
        server.faults.clear()
        nonce = server.ledger.submissions[0].body["webhookUrl"].partition("rh_nonce=")[2]
        assert await session.handle_webhook(delivery("1234567890123456789", shape="v2"), token=nonce) is None
    assert states(journal_path) == [SubmissionState.LOST]


async def test_what_an_older_version_called_settled_is_found_as_well(
    lost: str, open_session: Open, server: Emulator, journal_path: Path
) -> None:
    with sqlite3.connect(journal_path) as db:
        db.execute("UPDATE jobs SET state = 'settled'")
        for column in ("contents", "status"):
            db.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 2")
    db.close()
    server.faults.clear()
    async with open_session() as session:
        assert (await session.run(LINKED, idempotency_key="clip")).task_id == lost
    assert len(server.ledger.submissions) == 1


async def _run_again(session: Session) -> str:
    async with session:
        return (await session.run(LINKED, idempotency_key="clip", resubmit=True)).task_id


async def _ended(job: Any) -> None:
    with pytest.raises(Exception, match="cancelled"):
        await job
