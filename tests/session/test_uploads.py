"""Uploads: each content once, streamed, and an unusable file is refused before its first byte is sent."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from pathlib import Path

import pytest

from rh_async import CharacterMotionTransfer, DreamActor, KlingMotionControl, ModelRequest, Session, Upload
from rh_async.emulator import Emulator
from rh_async.errors import InvalidMedia
from rh_async.events import Event, Uploaded, Uploading
from tests.media import draw_image, film_video
from tests.session.conftest import Media

pytestmark = pytest.mark.quick

DAY = 24 * 3600.0


async def test_fifty_jobs_that_share_a_character_at_one_instant_upload_it_once(
    server: Emulator, session: Session, media: Media, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(media.images[0].read_bytes())
    jobs = [session.submit_nowait(DreamActor([media.images[0], copy][n % 2], media.videos[0])) for n in range(50)]
    await asyncio.gather(*(job.accepted() for job in jobs))
    assert len(server.ledger.uploads) == 2
    assert len(server.ledger.tasks) == 50


async def test_an_upload_is_accepted_wherever_a_path_is(server: Emulator, session: Session, media: Media) -> None:
    image, video = await asyncio.gather(session.upload(media.images[0]), session.upload(os.fspath(media.videos[0])))
    content = media.images[0].read_bytes()
    assert (image.sha256, image.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert image.file_name == f"openapi/{image.sha256}.png"
    await session.submit(KlingMotionControl(image, video))
    await session.submit(CharacterMotionTransfer(image, media.videos[0]))
    bodies = [submission.body for submission in server.ledger.submissions]
    assert bodies[0]["imageUrl"] == image.url
    assert bodies[1] == {"299##image": image.file_name, "275##video": video.file_name}
    assert len(server.ledger.uploads) == 2


async def test_paths_inside_any_models_fields_are_uploaded_first(
    server: Emulator, session: Session, media: Media
) -> None:
    fields = {"prompt": "a dance", "refImages": [media.images[0], media.images[1]], "videoUrl": media.videos[0]}
    await session.submit(ModelRequest("own/model", fields))
    body = server.ledger.submissions[0].body
    assert [link.split("?")[0].rsplit(".")[-1] for link in [*body["refImages"], body["videoUrl"]]] == [
        "png",
        "png",
        "mp4",
    ]
    assert len(server.ledger.uploads) == 3


async def test_upload_progress_is_emitted_up_to_the_whole_size(server: Emulator, tmp_path: Path) -> None:
    events: list[Event] = []
    film = film_video(tmp_path / "clip.mp4")
    with film.open("ab") as more:
        more.write(b"\0" * 1_000_000)
    size = film.stat().st_size
    async with Session(server.api_key, base_url=server.url, on_event=events.append) as session:
        upload = await session.upload(film)
    sent = [event.bytes for event in events if isinstance(event, Uploading)]
    assert sent == sorted(sent)
    assert sent[-1] == size
    assert len(sent) == -(-size // (256 * 1024))
    assert events[-1] == Uploaded(path=film, upload=upload)


async def test_a_url_older_than_23_hours_is_refreshed_just_before_the_post(
    server: Emulator, session: Session, media: Media
) -> None:
    upload = await session.upload(media.images[0])
    await session.submit(DreamActor(upload, media.videos[0]))
    await asyncio.sleep(23 * 3600 + 1)
    await session.submit(DreamActor(upload, media.videos[0]))
    first, second = [submission.body["imageUrl"] for submission in server.ledger.submissions]
    assert first == upload.url
    assert second != first
    assert [submission.code for submission in server.ledger.submissions] == ["", ""]
    assert len(server.ledger.uploads) == 4


async def test_an_upload_of_another_program_is_used_unchanged(server: Emulator, session: Session, media: Media) -> None:
    async with Session(server.api_key, base_url=server.url) as other:
        image = await other.upload(media.images[0])
    await session.submit(DreamActor(image, media.videos[0]))
    assert server.ledger.submissions[0].body["imageUrl"] == image.url


def _text_file(folder: Path) -> Path:
    path = folder / "notes.png"
    path.write_text("this is no picture")
    return path


def _sparse_image(folder: Path) -> Path:
    path = draw_image(folder / "large.png")
    os.truncate(path, 11 * 1024 * 1024)
    return path


def _nothing(folder: Path) -> Path:
    return folder / "nowhere.png"


def _below_a_file(folder: Path) -> Path:
    return _text_file(folder) / "below.png"


def _empty(folder: Path) -> Path:
    path = folder / "empty.png"
    path.touch()
    return path


def _folder(folder: Path) -> Path:
    return folder


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.png")
    return folder / "pipe.png"


def _webp(folder: Path) -> Path:
    return draw_image(folder / "hero.webp")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_nothing, "cannot be read: No such file"),
        (_below_a_file, "cannot be read: Not a directory"),
        (_empty, "is empty"),
        (_folder, "is a directory"),
        (_pipe, "is no regular file"),
        (_text_file, "is no known kind of media; imageUrl takes JPG or PNG"),
        (_webp, "is WEBP; imageUrl takes JPG or PNG"),
        (_sparse_image, "has 11.0 MB; imageUrl takes 10 MB at most"),
    ],
)
async def test_an_unusable_file_is_refused_before_its_first_byte_is_sent(
    make: object, words: str, server: Emulator, session: Session, media: Media, tmp_path: Path
) -> None:
    assert callable(make)
    with pytest.raises(InvalidMedia, match=words):
        await session.run(KlingMotionControl(make(tmp_path), media.videos[0]))
    assert server.ledger.uploads == []
    assert server.ledger.submissions == []


async def test_a_jpeg_is_sent_as_jpg_whatever_its_name(
    server: Emulator, session: Session, media: Media, tmp_path: Path
) -> None:
    photo = draw_image(tmp_path / "photo.jpeg").rename(tmp_path / "photo.dat")
    await session.submit(KlingMotionControl(photo, media.videos[0]))
    assert "media.jpg" in {upload.file_name for upload in server.ledger.uploads}


async def test_a_limit_that_the_documents_contradict_warns_and_never_refuses(
    server: Emulator, session: Session, media: Media, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film = tmp_path / "long.mp4"
    film.write_bytes(media.videos[0].read_bytes())
    os.truncate(film, 11 * 1024 * 1024)
    with caplog.at_level(logging.WARNING):
        await session.submit(CharacterMotionTransfer(media.images[0], film))
    assert [record.levelname for record in caplog.records if "media_over_doubtful_limit" in record.message] == [
        "WARNING"
    ]
    assert len(server.ledger.tasks) == 1


async def test_a_file_that_changes_while_it_is_sent_is_refused_and_nothing_submitted(
    server: Emulator, media: Media, tmp_path: Path
) -> None:
    film = tmp_path / "clip.mp4"
    film.write_bytes(media.videos[0].read_bytes() + b"\0" * 600_000)

    def meddle(event: Event) -> None:
        if isinstance(event, Uploading) and event.path == film and event.bytes < event.total:
            os.pwrite(file, b"meddled", event.bytes + 1000)

    file = os.open(film, os.O_RDWR)
    async with Session(server.api_key, base_url=server.url, on_event=meddle) as session:
        with pytest.raises(InvalidMedia, match="changed while it went up"):
            await session.run(DreamActor(media.images[0], film))
    os.close(file)
    assert server.ledger.submissions == []


async def test_a_file_that_shrinks_while_it_is_sent_is_refused_too(
    server: Emulator, media: Media, tmp_path: Path
) -> None:
    film = tmp_path / "clip.mp4"
    film.write_bytes(media.videos[0].read_bytes() + b"\0" * 900_000)

    def shrink(event: Event) -> None:
        if isinstance(event, Uploading) and event.path == film:
            os.truncate(film, event.bytes)

    async with Session(server.api_key, base_url=server.url, on_event=shrink) as session:
        with pytest.raises(InvalidMedia, match="changed while it waited"):
            await session.run(DreamActor(media.images[0], film))
    assert server.ledger.submissions == []


async def test_a_cancelled_upload_goes_on_for_the_other_callers_that_share_it(
    server: Emulator, session: Session, media: Media
) -> None:
    first = asyncio.create_task(session.upload(media.videos[0]))
    second = asyncio.create_task(session.upload(media.videos[0]))
    await asyncio.sleep(0)
    first.cancel()
    assert isinstance(await second, Upload)
    assert len(server.ledger.uploads) == 1
    assert (await session.upload(media.videos[0])).url
    await asyncio.sleep(DAY)
    assert (await session.upload(media.videos[0])).url
    assert len(server.ledger.uploads) == 2
