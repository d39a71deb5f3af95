"""Attacks on asking and admission: no order of events leaves a job unasked, a place taken, or the budget wasted."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from rh_async import JournalError, ModelRequest, PollingPolicy, Session, Timeouts
from rh_async._journal.submission_journal import SubmissionJournal
from rh_async._runtime.services import SessionServices
from rh_async._submission.deduplication import SubmissionRegistry
from rh_async.emulator import Emulator, Fault
from rh_async.errors import SessionError
from tests.faults.test_attacks import error_of
from tests.faults.test_giving_up import turns, until
from tests.session.test_polling import requests, run_all, teach_run_times

WITHOUT_COUNTERS = PollingPolicy(queue_counters=False)


def services(session: Session) -> SessionServices:
    assert session._lifetime.runtime is not None
    return session._lifetime.runtime.services


# --- asking ----------------------------------------------------------------------------------------------------------


async def test_foreign_tasks_and_a_submit_that_hangs_do_not_let_reads_of_the_counters_use_up_the_budget() -> None:
    async with (
        Emulator(seed=1, limit=1000, run_time=300.0) as server,
        Session(server.api_key, base_url=server.url, in_flight=20, timeouts=Timeouts(read=600)) as session,
    ):
        server.faults.add(Fault("foreign_tasks", count=200))
        for request in requests(5):
            await session.submit(request)
        await anyio.sleep(30)
        server.faults.add(Fault("hang", accepted=True))
        session.submit_nowait(ModelRequest("bench/motion", {"seed": 99}))
        await anyio.sleep(200)
        calls = Counter(call.kind for call in server.ledger.calls if call.at > 30)
    assert calls["queue_status"] <= 80  # without a pause between reads it is thousands, and hardly a query
    assert calls["query"] >= 100


async def test_ends_that_the_counters_show_are_searched_for_in_parallel_where_responses_are_slow() -> None:
    async with (
        Emulator(seed=1, limit=50, run_time=100.0) as server,
        Session(server.api_key, base_url=server.url, in_flight=20) as session,
    ):
        teach_run_times(session)
        jobs = [await session.submit(request) for request in requests(8)]
        await anyio.sleep(99.5)
        server.faults.add(Fault("slow_response", route="query", seconds=8, times=None))
        for job in jobs:
            await job
    asked = [question.at for question in server.ledger.calls if question.kind == "query" and question.at >= 100]
    assert len(asked) == 8
    assert asked[7] - asked[0] <= 0.1


async def test_a_poll_worker_that_is_cancelled_from_outside_fails_every_job_and_stops_none_silently(
    server: Emulator,
) -> None:
    session = Session(server.api_key, base_url=server.url)
    await session.__aenter__()
    job = await session.submit(requests(1)[0])
    next(task for task in asyncio.all_tasks() if "Poller._work" in task.get_name()).cancel()
    error = await error_of(asyncio.wait_for(job, 3600))
    assert isinstance(error, SessionError)
    assert error.maybe_billed
    with pytest.raises(SessionError, match="cancelled from outside"):
        await session.__aexit__(None, None, None)


async def test_a_session_left_while_an_end_is_being_written_down_reports_that_end(tmp_path: Path) -> None:
    async with Emulator(seed=1, run_time=20.0) as server:
        for count in range(0, 40, 4):
            async with Session(
                server.api_key, base_url=server.url, journal=tmp_path / f"{count}.db", polling=WITHOUT_COUNTERS
            ) as session:
                job = await session.submit(requests(count + 1)[-1])
                poller, task_id = services(session).poller, await job.accepted()
                await until(lambda: server.ledger.tasks[-1].status == "SUCCESS")
                poller.poll_soon(task_id)
                while task_id in poller.jobs:  # noqa: ASYNC110 - no event marks that instant
                    await asyncio.sleep(0)
                await turns(count)
            assert job.result, count


# --- places ----------------------------------------------------------------------------------------------------------


async def fails(*_: object, **__: object) -> Any:
    raise JournalError("the disk is full")


async def test_a_journal_that_cannot_read_run_times_fails_no_job_and_frees_no_slot_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SubmissionJournal, "last_settled", fails)
    async with (
        Emulator(seed=1) as server,
        Session(server.api_key, base_url=server.url, journal=tmp_path / "jobs.db", in_flight=1) as session,
    ):
        await run_all(session, 4)
        assert services(session).submissions.slots.limiter.in_flight == 0
    assert server.ledger.peak_unsettled() == 1


async def test_a_journal_that_cannot_take_an_acceptance_leaves_no_slot_and_no_submit_counted_twice(
    server: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SubmissionRegistry, "mark_submitted", fails)
    async with Session(server.api_key, base_url=server.url, journal=tmp_path / "jobs.db") as session:
        for request in requests(3):
            assert isinstance(await error_of(session.run(request)), JournalError)
        limiter = services(session).submissions.slots.limiter
        assert (limiter.in_flight, limiter._unanswered) == (0, 0)
    assert len(server.ledger.submissions) == 3


# --- statistics ------------------------------------------------------------------------------------------------------


async def test_queries_outside_the_schedule_are_counted_too(server: Emulator, session: Session) -> None:
    result = await session.run(requests(1)[0])
    await session.get_status(result.task_id)
    asked = Counter(question.kind for question in server.ledger.calls)
    assert session.statistics().requests["query"] == asked["query"]


async def test_counters_that_are_never_read_have_no_confidence(server: Emulator) -> None:
    async with Session(server.api_key, base_url=server.url, polling=WITHOUT_COUNTERS) as session:
        await session.submit(requests(1)[0])
        assert session.statistics().counter_confidence == 0.0
