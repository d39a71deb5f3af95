"""Rate limits hold back every route together, and never for ever."""

from __future__ import annotations

import asyncio

import pytest

from rh_async import DreamActor, Session
from rh_async.emulator import Emulator, Fault
from rh_async.events import Event, Waiting
from tests.session.conftest import Media


@pytest.mark.parametrize("route", ["submit", "query", "upload", "account"])
async def test_a_rate_limit_on_one_route_pauses_them_all(route: str, server: Emulator, media: Media) -> None:
    events: list[Event] = []
    server.faults.add(Fault("http_429", route=route, retry_after=600))  # type: ignore[arg-type]
    async with Session(server.api_key, base_url=server.url, on_event=events.append) as session:
        asking = asyncio.ensure_future(session.account())
        job = session.start(DreamActor(media.images[0], media.videos[0]))
        await job
        await asking
    (fault,) = server.ledger.faults
    reached = [question.at for question in server.ledger.questions]
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


async def test_a_pause_can_be_left(server: Emulator, media: Media) -> None:
    server.faults.add(Fault("http_429", route="submit", retry_after=3600))
    async with Session(server.api_key, base_url=server.url) as session:
        job = session.start(DreamActor(media.images[0], media.videos[0]))
        await asyncio.sleep(60)
    assert asyncio.get_running_loop().time() < 100
    assert job.error is not None
    assert not job.error.maybe_billed
    assert server.ledger.tasks == []
