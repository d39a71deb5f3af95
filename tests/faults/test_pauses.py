"""Rate limits hold back every route together, cost little, and never hold for ever."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from rh_async import DreamActor, ModelRequest, Session
from rh_async.emulator import Emulator, Fault, RateLimit
from rh_async.errors import JobCancelled
from rh_async.events import Event, Waiting
from rh_async.journal import SubmissionState
from tests.session.conftest import Media

MODEL = "bench/motion"


def requests(count: int) -> list[ModelRequest]:
    return [ModelRequest(MODEL, {"seed": number}) for number in range(count)]


@pytest.mark.parametrize("route", ["submit", "query", "upload", "account"])
async def test_a_rate_limit_on_one_route_pauses_them_all(route: str, server: Emulator, media: Media) -> None:
    events: list[Event] = []
    server.faults.add(Fault("http_429", route=route, retry_after=600))  # type: ignore[arg-type]
    async with Session(server.api_key, base_url=server.url, on_event=events.append) as session:
        asking = asyncio.ensure_future(session.account())
        job = session.submit_nowait(DreamActor(media.images[0], media.videos[0]))
        await job
        await asking
    (fault,) = server.ledger.faults
    reached = [question.at for question in server.ledger.calls]
    reached += [submission.at for submission in server.ledger.submissions]
    reached += [upload.at for upload in server.ledger.uploads]
    assert not [at for at in reached if fault.at + 1 < at < fault.at + 600]
    (waiting,) = [event for event in events if isinstance(event, Waiting)]
    assert waiting.reason == "rate"
    assert 600 <= waiting.seconds < 602
    assert len(server.ledger.tasks) == 1


async def test_a_pause_without_end_is_an_hour(server: Emulator, session: Session, media: Media) -> None:
    server.faults.add(Fault("http_429", route="submit", retry_after="9" * 400))
    await session.submit(DreamActor(media.images[0], media.videos[0]))
    assert 3600 <= asyncio.get_running_loop().time() < 3700
    assert len(server.ledger.tasks) == 1


async def test_sessions_that_are_refused_together_do_not_come_back_together(server: Emulator) -> None:
    events: list[Event] = []
    server.faults.add(Fault("http_429", route="account", retry_after=10, times=5))
    async with AsyncExitStack() as open_ones:
        sessions = [Session(server.api_key, base_url=server.url, on_event=events.append) for _ in range(5)]
        for session in sessions:
            await open_ones.enter_async_context(session)
        await asyncio.gather(*(session.account() for session in sessions))
    waits = [event.seconds for event in events if isinstance(event, Waiting)]
    assert len(set(waits)) == len(waits) == 5
    assert all(10 <= wait <= 11 for wait in waits)


async def test_a_pause_can_be_left(server: Emulator, media: Media) -> None:
    server.faults.add(Fault("http_429", route="submit", retry_after=3600))
    async with Session(server.api_key, base_url=server.url) as session:
        job = session.submit_nowait(DreamActor(media.images[0], media.videos[0]))
        await asyncio.sleep(60)
    assert asyncio.get_running_loop().time() < 100
    assert job.error is not None
    assert not job.error.maybe_billed
    assert server.ledger.tasks == []


@pytest.mark.parametrize(
    "limit",
    [
        RateLimit(per_second=10),
        RateLimit(per_second=10, retry_after=1),
        RateLimit(per_second=10, response="429"),
        RateLimit(per_second=10, response="429", retry_after=1),
        RateLimit(per_second=4, burst=40),
    ],
    ids=str,
)
async def test_places_are_filled_and_filled_again_about_as_fast_as_a_rate_limit_allows(limit: RateLimit) -> None:
    places = 60
    async with Emulator(seed=1, limit=places, run_time=120.0, rate_limit=limit) as server:
        async with Session(server.api_key, base_url=server.url) as session:
            outcomes = [outcome async for outcome in session.map(requests(2 * places))]
        tasks, refused = server.ledger.tasks, server.ledger.rate_limited_calls
    assert [outcome.error for outcome in outcomes] == [None] * 2 * places
    assert tasks[places - 1].created_at <= 2 * places / limit.per_second
    assert len(refused) <= 2 * places
    ends = sorted(task.settles_at or 0.0 for task in tasks)
    # The second half starts as the first ends: one after the other, a place each, but for the odd question between.
    assert ends[-1] <= 1.08 * (240.0 + places / limit.per_second)


async def test_submits_leave_before_questions_that_wait(server: Emulator) -> None:
    server.run_time = 3600.0
    async with Session(server.api_key, base_url=server.url, in_flight=50) as session:
        await asyncio.gather(*(session.submit(request) for request in requests(10)))
        server.set_rate_limit(2)
        began = asyncio.get_running_loop().time()
        questions = [asyncio.ensure_future(session.get_status(task.task_id)) for task in server.ledger.tasks * 3]
        await asyncio.sleep(0)  # the questions are first
        jobs = [session.submit_nowait(request) for request in requests(10)]
        await asyncio.gather(*(job.accepted() for job in jobs))
        accepted = asyncio.get_running_loop().time() - began
        await asyncio.gather(*questions)
        asked = asyncio.get_running_loop().time() - began
    assert len(server.ledger.tasks) == 20
    assert accepted < asked / 2


async def test_a_limit_that_is_gone_holds_nothing_back(server: Emulator) -> None:
    server.run_time = 3600.0
    clock = asyncio.get_running_loop()
    async with Session(server.api_key, base_url=server.url, in_flight=100) as session:
        server.set_rate_limit(2)
        await asyncio.gather(*(session.submit(request) for request in requests(20)))
        assert clock.time() > 8
        server.set_rate_limit(None)
        await asyncio.sleep(600)
        began = clock.time()
        await asyncio.gather(*(session.submit(request) for request in requests(40)))
        assert clock.time() - began < 0.1


async def test_a_limit_never_seen_costs_no_turn(server: Emulator) -> None:
    server.limit = 300
    async with Session(server.api_key, base_url=server.url, in_flight=300) as session:
        await asyncio.gather(*(session.submit(request) for request in requests(300)))
    assert {task.created_at for task in server.ledger.tasks} == {0.0}


async def test_counts_that_are_refused_for_ever_fail_no_job_and_slow_none_down_for_ever(server: Emulator) -> None:
    server.faults.add(Fault("error_code", route="queue_status", code="1003", times=None))
    server.run_time = 100.0
    async with Session(server.api_key, base_url=server.url, in_flight=20) as session:
        outcomes = [outcome async for outcome in session.map(requests(60))]
    assert [outcome.error for outcome in outcomes] == [None] * 60
    assert max(task.settles_at or 0.0 for task in server.ledger.tasks) < 400


async def test_a_job_that_waits_for_its_turn_is_not_written_down_as_being_sent(
    server: Emulator, tmp_path: Path
) -> None:
    server.run_time = 3600.0
    book = tmp_path / "jobs.db"
    async with Session(server.api_key, base_url=server.url, in_flight=20, journal=book) as session:
        server.faults.add(Fault("http_429", route="submit", retry_after=600))
        jobs = [
            session.submit_nowait(request, idempotency_key=str(number)) for number, request in enumerate(requests(10))
        ]
        await asyncio.sleep(60)
        journal = session._lifetime.runtime.journal  # type: ignore[union-attr]
        assert journal is not None
        records = [await journal.find(str(number)) for number in range(10)]
        sent = [record.state for record in records if record is not None]
        assert sent.count(SubmissionState.SUBMITTED) == 9
        assert SubmissionState.SUBMITTING not in sent
        (waits,) = [job for job in jobs if job.task_id is None]
        await waits.cancel()
        with pytest.raises(JobCancelled) as caught:
            await waits
        assert not caught.value.maybe_billed
    assert len(server.ledger.tasks) == 9
