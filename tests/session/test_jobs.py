"""Jobs as a caller holds them: waiting does not change them."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import anyio
import pytest

from rh_async import CharacterMotionTransfer, DreamActor, KlingMotionControl, Session
from rh_async.emulator import Emulator
from rh_async.errors import InvalidRequestError, JobLost, SessionError
from tests.session.conftest import Media

pytestmark = pytest.mark.quick


async def test_submit_returns_once_the_server_has_accepted(server: Emulator, session: Session, media: Media) -> None:
    job = await session.submit(KlingMotionControl(media.images[0], media.videos[0]))
    assert job.task_id == server.ledger.tasks[0].task_id
    assert job.status == "RUNNING"
    assert not job.done
    result = await job
    assert result.task_id == job.task_id
    assert result.usage.money == Decimal("0.81") * 3
    assert result.usage.currency is None
    assert result.submitted_utc is not None
    assert result.submitted_utc <= result.noticed_utc
    assert b"SUCCESS" in result.raw


async def test_submit_nowait_returns_at_once_with_nothing_sent(
    server: Emulator, session: Session, media: Media
) -> None:
    job = session.submit_nowait(DreamActor(media.images[0], media.videos[0]))
    assert (job.task_id, job.status, job.snapshot) == (None, "waiting", None)
    assert server.ledger.submissions == []
    assert await job.accepted() == server.ledger.tasks[0].task_id


async def test_many_tasks_may_await_one_job_and_again_later(session: Session, media: Media) -> None:
    job = session.submit_nowait(DreamActor(media.images[0], media.videos[0]))
    results = await asyncio.gather(*(_wait(job) for _ in range(10)))
    assert all(result is results[0] for result in results)
    assert await job is results[0]


async def _wait(job: object) -> object:
    return await job  # type: ignore[misc]


async def test_a_cancelled_wait_changes_neither_the_job_nor_other_waits(
    server: Emulator, session: Session, media: Media
) -> None:
    job = await session.submit(DreamActor(media.images[0], media.videos[0]))
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(1):
            await job
    cause = caught.value.__cause__
    assert isinstance(cause, asyncio.CancelledError)
    assert str(job.task_id) in "".join(cause.__notes__)
    assert (await job).task_id == job.task_id
    assert len(server.ledger.tasks) == 1


async def test_each_await_of_a_failed_job_raises_an_exception_of_its_own(session: Session) -> None:
    job = session.attach("1999999999999999999")
    with pytest.raises(JobLost) as first:
        await job
    with pytest.raises(JobLost) as second:
        await job
    assert first.value is not second.value
    assert first.value.task_id == "1999999999999999999"
    assert first.value.code == "1004"


async def test_status_updates_have_every_status_until_the_end(media: Media) -> None:
    limits = {"rhart-video/wan2.2/character-motion-transfer": 1}
    async with (
        Emulator(seed=1, model_limits=limits, run_time=30.0) as server,
        Session(server.api_key, base_url=server.url) as session,
    ):
        await session.submit(CharacterMotionTransfer(media.images[0], media.videos[0]))
        second = await session.submit(CharacterMotionTransfer(media.images[1], media.videos[1]))
        assert [snapshot.status async for snapshot in second.status_updates()] == ["QUEUED", "RUNNING", "SUCCESS"]
        assert [snapshot.status async for snapshot in second.status_updates()] == ["SUCCESS"]


async def test_a_task_submitted_elsewhere_can_be_attached_to(server: Emulator, session: Session, media: Media) -> None:
    mine = await session.submit(DreamActor(media.images[0], media.videos[0]))
    assert mine.task_id is not None
    async with Session(server.api_key, base_url=server.url) as other:
        watched = other.attach(mine.task_id)
        assert other.attach(mine.task_id) is watched
        result = await watched
    assert result.submitted_utc is None
    assert result.outputs
    assert (await mine).usage == result.usage


@pytest.mark.parametrize("text", ["", "abc", "12-3", "1" * 20, 12])
async def test_what_is_no_task_id_is_refused_at_once(session: Session, text: str) -> None:
    with pytest.raises(InvalidRequestError, match="is no task id"):
        session.attach(text)


async def test_a_submit_cancelled_before_its_post_is_sent_submits_nothing(
    server: Emulator, session: Session, media: Media
) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await session.submit(DreamActor(media.images[0], media.videos[0]))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await session.run(DreamActor(media.images[0], media.videos[0]))
    assert (await session.run(DreamActor(media.images[1], media.videos[1]))).outputs
    assert len(server.ledger.submissions) == 1


async def test_what_is_no_request_is_refused(session: Session) -> None:
    with pytest.raises(InvalidRequestError, match="is no request"):
        session.submit_nowait("hero.png")  # type: ignore[arg-type]


async def test_a_job_prints_what_it_is_about(session: Session, media: Media) -> None:
    job = session.submit_nowait(DreamActor(media.images[0], media.videos[0]))
    assert repr(job) == "<Job bytedance/dreamactor-v2, not yet submitted, waiting>"
    task_id = await job.accepted()
    assert repr(job) == f"<Job bytedance/dreamactor-v2, task {task_id}, RUNNING>"
    assert repr(session.attach("12")) == "<Job, task 12, waiting>"


async def test_running_in_a_closed_session_is_refused(server: Emulator, media: Media) -> None:
    session = Session(server.api_key, base_url=server.url)
    with pytest.raises(SessionError, match="not open"):
        session.submit_nowait(DreamActor(media.images[0], media.videos[0]))
    async with session:
        pass
    with pytest.raises(SessionError, match="has ended"):
        await session.upload(media.images[0])
