"""Media from memory: bytes, streams and open files are accepted wherever a path is, sent once, and leave no file."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import rh_async
from rh_async import DreamActor, KlingMotionControl, ModelRequest, Session
from rh_async.emulator import Emulator
from rh_async.errors import InvalidMedia, InvalidRequestError
from tests.session.conftest import Media

KLING = "kling-v3.0-std/motion-control"


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which temporary files are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def streamed(path: Path) -> AsyncIterator[bytes]:
    """The bytes of a file, as they might come over a network."""

    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    return pieces(path.read_bytes())


def left(scratch: Path) -> list[Path]:
    """The session's temporary files."""
    return [path for path in scratch.glob("rh_async-*/**/*") if path.is_file()]


def spooled(path: Path) -> Any:
    """A file as a web framework passes it."""
    file = tempfile.SpooledTemporaryFile(max_size=1 << 20)  # noqa: SIM115 - the request holds it
    file.write(path.read_bytes())
    return file


SOURCES: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda path: rh_async.Media.from_bytes(path.read_bytes(), "dance.mp4"),
    "bytes without a name": lambda path: rh_async.Media.from_bytes(path.read_bytes()),
    "open file": lambda path: path.open("rb"),
    "file read to its end": lambda path: _at_end(path.open("rb")),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "SpooledTemporaryFile": spooled,
    "async iterator": streamed,
}


def _at_end(file: io.BufferedReader) -> io.BufferedReader:
    file.read()
    return file


@pytest.mark.parametrize("source", SOURCES)
async def test_the_server_gets_the_same_bytes_from_any_source(
    source: str, server: Emulator, session: Session, media: Media, scratch: Path
) -> None:
    given = SOURCES[source](media.videos[0])
    result = await session.run(KlingMotionControl(media.images[0], given))
    if hasattr(given, "close"):
        given.close()
    assert result.outputs
    uploads = {upload.sha256 for upload in server.ledger.uploads}
    assert uploads == {sha256(path.read_bytes()).hexdigest() for path in (media.images[0], media.videos[0])}
    assert all(upload.file_name.endswith((".mp4", ".png")) for upload in server.ledger.uploads)
    assert len(server.ledger.tasks) == 1


async def test_a_picture_is_sent_as_png(server: Emulator, session: Session, media: Media) -> None:
    picture = Image.new("RGB", (480, 640), (1, 2, 3))
    await session.run(DreamActor(picture, media.videos[0]))
    sink = io.BytesIO()
    picture.save(sink, "PNG")
    assert sha256(sink.getvalue()).hexdigest() in {upload.sha256 for upload in server.ledger.uploads}


@pytest.mark.parametrize("source", SOURCES)
async def test_no_file_is_left_behind(
    source: str, server: Emulator, media: Media, scratch: Path, tmp_path: Path
) -> None:
    given = SOURCES[source](media.videos[0])
    async with Session(server.api_key, base_url=server.url, journal=tmp_path / "jobs.db") as session:
        await session.run(KlingMotionControl(media.images[0], given))
        assert len(left(scratch)) == (
            1 if source == "async iterator" else 0
        )  # a stream is read once: another job may need it
    if hasattr(given, "close"):
        given.close()
    assert list(scratch.glob("rh_async-*")) == []


async def test_one_source_in_many_requests_is_written_and_sent_once(
    server: Emulator, session: Session, media: Media, scratch: Path
) -> None:
    reads, image = 0, media.images[0].read_bytes()

    async def counted() -> AsyncIterator[bytes]:
        nonlocal reads
        reads += 1
        yield image

    hero = rh_async.Media.from_stream(counted(), "hero.png")
    jobs = [session.submit_nowait(DreamActor(hero, video)) for video in media.videos]
    for job in jobs:
        await job
    assert reads == 1
    assert len(server.ledger.tasks) == 3
    assert len(server.ledger.uploads) == 4


async def test_the_same_bytes_are_the_same_job_for_the_journal(server: Emulator, media: Media, tmp_path: Path) -> None:
    async with Session(server.api_key, base_url=server.url, journal=tmp_path / "jobs.db") as session:
        first = await session.run(DreamActor(media.images[0], media.videos[0]))
        again = await session.run(DreamActor(media.images[0], io.BytesIO(media.videos[0].read_bytes())))
    assert first.task_id == again.task_id
    assert len(server.ledger.tasks) == 1


async def test_other_models_take_sources_in_lists_too(server: Emulator, session: Session, media: Media) -> None:
    fields = {
        "imageUrl": io.BytesIO(media.images[0].read_bytes()),
        "videoUrl": rh_async.Media.from_bytes(media.videos[0].read_bytes()),
        "characterOrientation": "video",
        "elementList": [Image.new("RGB", (8, 8))],
    }
    await session.run(ModelRequest(KLING, fields))
    (submission,) = server.ledger.submissions
    assert submission.body["imageUrl"].startswith(server.url)
    assert submission.body["elementList"][0].startswith(server.url)
    assert len(server.ledger.uploads) == 3


async def test_upload_takes_the_same_sources(server: Emulator, session: Session, media: Media, scratch: Path) -> None:
    for make in SOURCES.values():
        given = make(media.videos[0])
        upload = await session.upload(given)
        assert upload.sha256 == sha256(media.videos[0].read_bytes()).hexdigest()
        if hasattr(given, "close"):
            given.close()
    assert len(server.ledger.uploads) == 1


async def test_check_and_price_take_sources_too(server: Emulator, session: Session, media: Media) -> None:
    request = KlingMotionControl(io.BytesIO(media.images[0].read_bytes()), io.BytesIO(media.videos[0].read_bytes()))
    assert [issue for issue in await session.check(request) if issue.is_error] == []
    assert (await session.price(request)).amount > 0
    assert server.ledger.tasks == []


async def _broken() -> AsyncIterator[bytes]:
    yield b"\0\0\0\x18ftypmp42"
    raise LookupError("gone")


async def _text() -> AsyncIterator[Any]:
    yield "text"


def _closed() -> io.BytesIO:
    file = io.BytesIO(b"x")
    file.close()
    return file


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            lambda: rh_async.Media.from_stream(_broken(), "clip.mp4"),
            "clip.mp4 cannot be read: LookupError: gone",
        ),
        (
            lambda: rh_async.Media.from_stream(_text(), "clip.mp4"),
            "clip.mp4 gave str, not bytes",
        ),
        (lambda: rh_async.Media.from_bytes(b"", "clip.mp4"), "clip.mp4 is empty"),
        (lambda: rh_async.Media.from_bytes(b"no video at all", "clip.mp4"), "clip.mp4 is no known kind of media"),
        (_closed, "cannot be read: ValueError: I/O operation on closed file"),
    ],
    ids=["breaks", "text", "empty", "no video", "closed"],
)
async def test_a_source_that_cannot_be_read_fails_its_own_job_in_one_line(
    given: Callable[[], Any], says: str, server: Emulator, session: Session, media: Media, scratch: Path
) -> None:
    neighbour = session.submit_nowait(KlingMotionControl(media.images[0], media.videos[1]))
    with pytest.raises(InvalidMedia) as refused:
        await session.run(KlingMotionControl(media.images[0], given()))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (await neighbour).outputs
    assert len(server.ledger.submissions) == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (b"data", "; bytes go as Media.from_bytes(data, name)"),
        (io.StringIO("text"), "is opened as text; open it in binary mode ('rb')"),
        (object(), "must be a path, an http(s) link, a data URI, Media or an Upload"),
        (17, "must be a path, an http(s) link, a data URI, Media or an Upload"),
    ],
    ids=["bytes", "text file", "object", "number"],
)
def test_any_other_type_is_refused_when_the_request_is_made(given: Any, says: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        KlingMotionControl("hero.png", given)
    assert says in str(refused.value)


@pytest.mark.parametrize(("given", "says"), [(b"data", "from_bytes"), (3, "int is no path"), ("", "str is no path")])
async def test_upload_refuses_any_other_type_in_one_line(
    given: Any, says: str, server: Emulator, session: Session
) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        await session.upload(given)
    assert server.ledger.uploads == []


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\0b\n.mp4", "", "x" * 300 + ".mp4", "C:\\clips\\dance.mp4", ".."]
)
async def test_a_source_name_never_leads_out_of_the_temporary_folder(
    name: str, server: Emulator, session: Session, media: Media, scratch: Path
) -> None:
    await session.upload(rh_async.Media.from_bytes(media.videos[0].read_bytes(), name))
    assert len(server.ledger.uploads) == 1
    assert not (Path(os.sep) / "etc" / "passwd.mp4").exists()
    assert left(scratch) == []
