"""Guards of an upload: the age of its URL by both clocks, its stall time-out, the cache bound, which hash counts."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import define

from rh_async import DreamActor, RetryPolicy, Session, Timeouts
from rh_async._runtime import services as services_module
from rh_async.emulator import Emulator
from rh_async.errors import ResponseLost
from rh_async.events import Event, Warned
from tests.media import draw_image
from tests.raw_server import Request, raw_server
from tests.session.conftest import Media

VIDEO = "https://example.test/dance.mp4"


@define
class Wall:
    """A time of day that goes on while the loop's clock stands still, as when a computer sleeps."""

    slept: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.fromisoformat("2026-01-01T00:00:00+00:00") + self.slept


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(services_module, "utc_now", wall)
    return wall


@pytest.mark.parametrize(("hours", "uploads"), [(1, 1), (22.9, 1), (23.1, 2), (30, 2)])
async def test_a_url_that_aged_while_the_computer_slept_is_refreshed_before_the_post(
    hours: float, uploads: int, wall: Wall, server: Emulator, session: Session, media: Media
) -> None:
    await session.run(DreamActor(media.images[0], VIDEO))
    wall.slept = timedelta(hours=hours)
    await session.run(DreamActor(media.images[0], VIDEO + "?2"))
    assert len(server.ledger.uploads) == uploads
    first, second = [submission.body["imageUrl"] for submission in server.ledger.submissions]
    assert (first == second) is (uploads == 1)


async def test_a_url_that_aged_while_its_job_waited_for_a_slot_is_refreshed(
    wall: Wall, server: Emulator, media: Media
) -> None:
    async with Session(server.api_key, base_url=server.url, in_flight=1) as session:
        first = await session.submit(DreamActor(media.images[0], VIDEO))
        second = session.submit_nowait(DreamActor(media.images[0], VIDEO + "?2"))
        await asyncio.sleep(0.1)
        wall.slept = timedelta(hours=30)
        await first
        await second
    assert len(server.ledger.uploads) == 2


async def answering(request: web.Request) -> web.Response:
    """Run a server that names each stored file by another hash, and settles every task at once."""
    body = await request.read()
    if "/media/upload" in request.path:
        data = {"download_url": "https://cdn.test/x", "fileName": f"openapi/{'ab' * 32}.png", "type": "image"}
        return web.json_response({"code": 0, "data": data})
    if request.path.endswith("/query"):
        return web.json_response({"taskId": json.loads(body)["taskId"], "status": "RUNNING"})
    return web.json_response({"taskId": "7", "status": "SUCCESS", "results": [{"text": "done"}]})


async def test_a_server_name_with_another_hash_warns_once_and_refuses_nothing(
    media: Media, caplog: pytest.LogCaptureFixture
) -> None:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", answering)
    events: list[Event] = []
    async with (
        TestServer(app) as site,
        Session("k" * 32, base_url=str(site.make_url("")), on_event=events.append) as session,
    ):
        uploads = [await session.upload(image) for image in media.images]
        assert (await session.run(DreamActor(media.images[0], VIDEO))).outputs
    assert len({upload.sha256 for upload in uploads}) == 3
    assert [event.code for event in events if isinstance(event, Warned)] == ["upload_name"]
    assert sum("rh_async.upload_name" in record.message for record in caplog.records) == 1


async def test_an_upload_that_the_server_stops_reading_times_out(tmp_path: Path) -> None:
    async def deaf(_request: Request, _writer: asyncio.StreamWriter) -> bytes | None:
        await asyncio.Event().wait()
        return None

    large = draw_image(tmp_path / "large.png")
    with large.open("ab") as more:
        more.truncate(64 << 20)
    timeouts, retry = Timeouts(stall=5.0), RetryPolicy(give_up_after=0.0)
    async with (
        raw_server(deaf) as site,
        Session("k" * 32, base_url=site.url, timeouts=timeouts, retry=retry) as session,
    ):
        with pytest.raises(ResponseLost):
            async with asyncio.timeout(600):
                await session.upload(large)
        assert asyncio.get_running_loop().time() < 60


async def test_the_upload_cache_is_bounded(
    server: Emulator, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rh_async._transfer.uploads._REMEMBERED", 4)
    monkeypatch.setattr("rh_async._media.local_file._REMEMBERED", 4)
    images = [draw_image(tmp_path / f"{shade}.png", shade=shade) for shade in range(12)]
    for image in images:
        await session.upload(image)
    assert session._lifetime.runtime is not None
    uploads = session._lifetime.runtime.services.uploads
    assert max(len(uploads.files._known), len(uploads._transfers), len(uploads._latest)) <= 4
    assert not uploads._reads
    await session.upload(images[-1])
    assert len(server.ledger.uploads) == 12
    await session.upload(images[0])
    assert len(server.ledger.uploads) == 13
