"""What else is remembered: uploads, run times, and which delivery belongs to which attempt."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from rh_async import DreamActor, PollingPolicy, Session, SubmitUnknown
from rh_async.emulator import Emulator, Fault
from rh_async.errors import RequestRejected
from tests.session.conftest import Media

LINKED = DreamActor(
    "https://example.test/hero.png", "https://example.test/dance.mp4", webhook_url="https://mine.test/hook?room=4"
)


async def test_what_one_session_brought_up_the_next_one_does_not(
    server: Emulator, media: Media, journal_path: Path
) -> None:
    for again in (False, True):
        async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
            await session.submit(DreamActor(media.images[0], media.videos[0]), resubmit=again)
    assert len(server.ledger.tasks) == 2
    assert len(server.ledger.uploads) == 2
    async with Session(server.api_key, base_url=server.url) as session:
        await session.submit(DreamActor(media.images[0], media.videos[0]))
    assert len(server.ledger.uploads) == 4


async def test_an_input_the_server_no_longer_knows_goes_up_once_more(
    server: Emulator, media: Media, journal_path: Path
) -> None:
    request = DreamActor(media.images[0], media.videos[0])
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        await session.submit(request)
    await asyncio.sleep(25 * 3600)  # of the server's time; by the day's, the links would still serve
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        assert (await session.run(request, resubmit=True)).outputs
    assert len(server.ledger.uploads) == 4
    assert [submission.code for submission in server.ledger.submissions] == ["", "1013", ""]
    assert len(server.ledger.tasks) == 2


async def test_an_input_that_is_wrong_goes_up_no_second_time(
    server: Emulator, media: Media, journal_path: Path
) -> None:
    server.faults.add(Fault("error_code", code="1007"))
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        with pytest.raises(RequestRejected):
            await session.run(DreamActor(media.images[0], media.videos[0]))
    assert len(server.ledger.uploads) == 2
    assert len(server.ledger.submissions) == 1


async def test_run_times_of_settled_jobs_are_kept_by_model(journal_path: Path) -> None:
    async with Emulator(seed=1, run_time=40.0) as server:
        async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
            await session.run(LINKED)
        async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
            assert session._lifetime.runtime is not None
            times = await session._lifetime.runtime.services.registry.run_times("bytedance/dreamactor-v2")
            assert await session._lifetime.runtime.services.registry.run_times("kling-v3.0-std/motion-control") == []
    (run_time, driving), *others = times
    assert not others
    assert run_time >= 0  # of the wall clock, which stands still where the loop's jumps
    assert driving is None  # the length of a linked video is not known


def delivery(task_id: str, *, shape: str) -> bytes:
    """A body in either documented shape."""
    name = {"v1": "webhook_task_end_v1.json", "v2": "webhook_task_end_v2_success.json"}[shape]
    body = json.loads(Path(__file__).parents[1].joinpath("fixtures", name).read_text())
    return json.dumps(body | {"taskId": task_id}).encode()


@pytest.mark.parametrize("shape", ["v1", "v2"])
async def test_a_delivery_with_the_attempts_webhook_token_adopts_an_uncertain_submit(
    shape: str, server: Emulator, journal_path: Path
) -> None:
    server.faults.add(Fault("drop_after_accept"))
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        with pytest.raises(SubmitUnknown):
            await session.run(LINKED, idempotency_key="clip")
        (task,) = server.ledger.tasks
        address = urlsplit(server.ledger.submissions[0].body["webhookUrl"])
        assert parse_qs(address.query)["room"] == ["4"]
        (nonce,) = parse_qs(address.query)["rh_nonce"]
        assert server.api_key not in nonce
        assert await session.handle_webhook(delivery(task.task_id, shape=shape), token="another") is None
        assert await session.handle_webhook(b"no delivery", token=nonce) is None
        job = await session.handle_webhook(delivery(task.task_id, shape=shape), token=nonce)
        assert job is not None
        assert (await job).task_id == task.task_id
        assert await session.recovery.unconfirmed() == ()
        assert (await session.run(LINKED, idempotency_key="clip")).task_id == task.task_id
    assert len(server.ledger.submissions) == 1


async def test_a_delivery_only_wakes_a_job_that_is_watched(server: Emulator, journal_path: Path) -> None:
    async with Session(
        server.api_key, base_url=server.url, journal=journal_path, polling=PollingPolicy(queue_counters=False)
    ) as session:
        job = await session.submit(LINKED)
        assert await session.handle_webhook(delivery(str(job.task_id), shape="v2")) is job
        await anyio.sleep(0.1)
        assert not job.done  # the body said SUCCESS, the server did not
        assert len(server.ledger.calls) == 1
        assert (await job).outputs


async def test_a_true_delivery_settles_the_job_at_once(server: Emulator, journal_path: Path) -> None:
    patient = PollingPolicy(interval=600.0, max_interval=600.0, queue_counters=False)
    async with Session(server.api_key, base_url=server.url, journal=journal_path, polling=patient) as session:
        job = await session.submit(LINKED)
        ends = server.ledger.tasks[0].settles_at
        assert ends is not None
        await anyio.sleep(ends - anyio.current_time())
        await session.handle_webhook(delivery(str(job.task_id), shape="v2"))
        await job
        late = anyio.current_time() - ends
    assert late < 0.01  # the journal's commits


async def test_each_attempt_has_a_webhook_token_of_its_own(server: Emulator, journal_path: Path) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        await session.submit(LINKED)
        await session.submit(LINKED, resubmit=True)
    first, second = [submission.body["webhookUrl"] for submission in server.ledger.submissions]
    assert first != second
