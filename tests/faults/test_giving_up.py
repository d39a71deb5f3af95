"""Cancellation at every await: a POST that was sent is finished and accounted for, and no other job is affected.

The sweep cancels a call after 0, 1, 2, … turns of the event loop, so that every await on its way is met, then asks the
ledger what was bought.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rh_async import DreamActor, Session, SubmitUnknown
from rh_async.emulator import Emulator, Fault
from rh_async.errors import JobCancelled, SessionError
from tests.session.conftest import Media

TURNS = 60
# Links need no thread, so that a turn of the loop is the same turn every time.
LINKED = DreamActor("https://example.test/hero.png", "https://example.test/dance.mp4")
Call = Callable[[Session, Media, Path], Awaitable[object]]


async def submit(session: Session, media: Media, folder: Path) -> object:
    return await session.submit(LINKED)


async def run(session: Session, media: Media, folder: Path) -> object:
    return await session.run(LINKED, output_dir=folder)


async def upload(session: Session, media: Media, folder: Path) -> object:
    return await session.upload(media.videos[0])


async def first_of_map(session: Session, media: Media, folder: Path) -> object:
    async for outcome in session.map([LINKED] * 3, output_dir=folder):
        return outcome
    return None


async def turns(count: int) -> None:
    """Let the loop run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(reached: Callable[[], object]) -> None:
    """Let time pass until something has happened."""
    while not reached():  # noqa: ASYNC110 - a ledger signals nothing
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("call", [submit, run, upload, first_of_map])
async def test_a_call_cancelled_after_any_number_of_turns_leaves_every_post_accounted_for(
    call: Call, media: Media, tmp_path: Path
) -> None:
    bought = set()
    async with Emulator(seed=1, run_time=20.0, limit=10_000) as server:
        for count in range(TURNS):
            received = len(server.ledger.submissions)
            async with Session(server.api_key, base_url=server.url) as session:
                calling = asyncio.ensure_future(call(session, media, tmp_path))
                await turns(count)
                calling.cancel()
                await asyncio.gather(calling, return_exceptions=True)
                other = await session.run(LINKED)
                assert other.outputs
                known = set(session._lifetime.runtime.services.poller.jobs) if session._lifetime.runtime else set()
            mine = {task.task_id for task in server.ledger.tasks[received:]} - {other.task_id}
            assert len(server.ledger.submissions) == received + len(mine) + 1
            bought.add(len(mine) > 0)
            # What was bought for the caller who gave up is still watched, or was seen to its end.
            assert mine - known <= {q.task_id for q in server.ledger.calls}
    assert bought == ({False} if call is upload else {False, True})  # the sweep met awaits before the POST and after
    assert not list(tmp_path.glob(".*"))


async def test_a_session_closed_after_any_number_of_turns_finishes_open_posts_and_logs_their_tasks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    left_open = set()
    for count in range(TURNS):
        caplog.clear()
        async with Emulator(seed=1) as server:
            async with Session(server.api_key, base_url=server.url) as session:
                jobs = [session.submit_nowait(LINKED) for _ in range(5)]
                await turns(count)
                left_open.add(sum(job.task_id is not None for job in jobs))
            said = {task_id for record in caplog.records for task_id in getattr(record, "task_ids", [])}
            assert (
                said == {task.task_id for task in server.ledger.tasks} == {job.task_id for job in jobs if job.task_id}
            )
            assert len(server.ledger.submissions) == len(said)
            assert all(isinstance(job.error, SessionError if job.task_id else JobCancelled) for job in jobs)
    assert {0, 5} <= left_open  # the sweep met every stage


async def test_a_submit_cancelled_while_its_response_is_awaited_is_finished_and_polled(
    server: Emulator, media: Media
) -> None:
    server.faults.add(Fault("slow_response", route="submit", seconds=30))
    async with Session(server.api_key, base_url=server.url) as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await session.submit(DreamActor(media.images[0], media.videos[0]))
        await asyncio.sleep(60)
        (task,) = server.ledger.tasks
        assert (await session.attach(task.task_id)).task_id == task.task_id
    assert len(server.ledger.submissions) == 1


@pytest.mark.parametrize("sent", [False, True])
async def test_a_cancelled_submit_is_called_withdrawn_only_if_nothing_was_sent(sent: bool, server: Emulator) -> None:
    server.faults.add(Fault("slow_response", route="submit", seconds=30))
    async with Session(server.api_key, base_url=server.url) as session:
        submitting = asyncio.ensure_future(session.submit(LINKED))
        await (until(lambda: server.ledger.submissions) if sent else turns(1))
        submitting.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await submitting
    assert any("nothing is paid" in note for note in caught.value.__notes__) is not sent
    assert len(server.ledger.submissions) == sent


async def test_closing_waits_for_a_hanging_post_no_longer_than_its_time_out(server: Emulator, media: Media) -> None:
    server.faults.add(Fault("hang", route="submit", accepted=True))
    loop = asyncio.get_running_loop()
    async with Session(server.api_key, base_url=server.url) as session:
        job = session.submit_nowait(DreamActor(media.images[0], media.videos[0]))
        await until(lambda: server.ledger.tasks)
        left = loop.time()
    assert 50 < loop.time() - left <= 76
    assert isinstance(job.error, SubmitUnknown)
    assert job.error.maybe_billed
    assert len(server.ledger.submissions) == 1


async def test_of_many_waits_one_is_cancelled_and_the_rest_get_their_result(session: Session, media: Media) -> None:
    job = await session.submit(DreamActor(media.images[0], media.videos[0]))
    waiting = [asyncio.ensure_future(_result(job)) for _ in range(5)]
    await asyncio.sleep(1)
    waiting[2].cancel()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in ended] == [False, False, True, False, False]
    assert len({id(one) for one in ended if not isinstance(one, BaseException)}) == 1


async def _result(job: Awaitable[object]) -> object:
    return await job


async def test_a_session_may_be_closed_by_being_cancelled(server: Emulator, media: Media) -> None:
    async def work() -> None:
        async with Session(server.api_key, base_url=server.url) as session:
            server.faults.add(Fault("slow_response", route="submit", seconds=20))
            await session.run(DreamActor(media.images[0], media.videos[0]))

    working = asyncio.create_task(work())
    await until(lambda: server.ledger.submissions)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert len(server.ledger.submissions) == len(server.ledger.tasks) == 1
    assert [task for task in asyncio.all_tasks() if "services" in task.get_name()] == []


async def test_a_session_is_closed_however_often_the_task_that_closes_it_is_cancelled(server: Emulator) -> None:
    server.faults.add(Fault("slow_response", route="submit", seconds=30))
    session = Session(server.api_key, base_url=server.url)
    await session.__aenter__()
    job = session.submit_nowait(LINKED)
    await until(lambda: server.ledger.submissions)
    leaving = asyncio.create_task(session.__aexit__(None, None, None))
    for _ in range(3):
        await asyncio.sleep(1)
        leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert job.task_id == server.ledger.tasks[0].task_id
    assert isinstance(job.error, SessionError)
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("rh_async")] == []
