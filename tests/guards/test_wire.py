"""Every request that is sent equals the one in the golden file, apart from what differs from run to run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rh_async import CharacterMotionTransfer, DreamActor, KlingMotionControl, ModelRequest, Request, Session
from rh_async.emulator import Emulator
from rh_async.errors import JobCancelled
from tests.guards.golden import compare
from tests.guards.recorder import Received, Recorder, recording
from tests.session.conftest import Media

HOOK = "https://hook.example.test/done?of=7"
LINKS = ("https://example.test/hero.png", "https://example.test/dance.mp4")

_SHOWN = frozenset({"authorization", "connection", "content-type", "transfer-encoding"})
_BOUNDARY = re.compile(rb"boundary=\"?([^\s\";]+)")


def requests(image: Path, video: Path) -> Iterator[Request]:
    """Yield each model with all of its options, and with none."""
    words = {"orientation": "image", "prompt": "dance, 跳舞", "keep_original_sound": False, "webhook_url": HOOK}
    more = {"negative_prompt": "blurred", "elements": ("101", {"elementId": "102"})}
    for model in ("kling-v3.0-std", "kling-v3.0-pro"):
        yield KlingMotionControl(image, video, model=model, **words, **more)  # type: ignore[arg-type]
    for model in ("kling-v2.6-std", "kling-v2.6-pro"):
        yield KlingMotionControl(image, video, model=model, **words)  # type: ignore[arg-type]
    yield DreamActor(image, video, webhook_url=HOOK)
    yield CharacterMotionTransfer(image, video, webhook_url=HOOK)
    yield KlingMotionControl(*LINKS)
    yield KlingMotionControl(*LINKS, model="kling-v2.6-std")
    yield DreamActor(*LINKS)
    fields = {"imageUrl": image, "videoUrl": LINKS[1], "characterOrientation": "video", "prompt": "as it is"}
    yield ModelRequest("kling-v3.0-std/motion-control", fields, webhook_url=HOOK)


async def send_every_call(recorder: Recorder, media: Media, folder: Path) -> None:
    """Make a session send every kind of call."""
    image, video = media.images[0], media.videos[0]
    key, journal = recorder.server.api_key, folder / "journal.db"
    async with Session(key, base_url=recorder.url, journal=journal, in_flight=1) as session:
        await session.account()
        for request in requests(image, video):
            await session.price(request)
            await session.run(request)
        await session.run(DreamActor(*LINKS), output_dir=folder)
        job = await session.submit(DreamActor("https://example.test/other.png", LINKS[1]))
        await session.cancel(job.task_id or "")
        with pytest.raises(JobCancelled):
            await job


def as_text(request: Received, key: str) -> str:
    """Write a request as text, without what differs from run to run."""
    names = sorted(request.headers.items(), key=lambda header: header[0].lower())
    heads = [f"{name}: {value}" if name.lower() in _SHOWN else name for name, value in names]
    boundary = _BOUNDARY.search(request.headers.get("Content-Type", "").encode())
    body = request.body.decode() if boundary is None else _parts(request.body, boundary[1])
    if body.startswith("{"):
        body = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    text = "\n".join([f"{request.method} {request.target}", *heads, *([body] if body else [])])
    for pattern, word in [
        (re.escape(key), "KEY"),
        (r"boundary=\S+", "boundary=BOUNDARY"),
        (r"http://127\.0\.0\.1:\d+/(\w+)/[^\s\"?]*\.(\w+)\?[^\s\"]+", r"LINK-TO-\1.\2"),
        (r"/output/\d+/(\w+\.\w+)\?\S+", r"/output/TASK/\1?SIGNATURE"),
        (r"rh_nonce=[0-9a-f]{32}", "rh_nonce=NONCE"),
        (r"[0-9a-f]{64}", "SHA256"),
        (r"\d{19}", "TASK"),
    ]:
        text = re.sub(pattern, word, text)
    return text


def _parts(body: bytes, boundary: bytes) -> str:
    """Write the headers of each part of a multipart body."""
    first, *parts, last = body.split(b"--" + boundary)
    assert (first, last) == (b"", b"--\r\n")
    heads = [part.partition(b"\r\n\r\n")[0].decode().strip().replace("\r", "") for part in parts]
    return "\n".join(f"--BOUNDARY\n{head}\n\nCONTENT" for head in heads) + "\n--BOUNDARY--"


async def test_every_request_is_the_one_of_the_golden_file(server: Emulator, media: Media, tmp_path: Path) -> None:
    async with recording(server) as recorder:
        await send_every_call(recorder, media, tmp_path)
    texts = {as_text(request, server.api_key) for request in recorder.requests}
    assert len(server.ledger.tasks) == 11
    compare("requests.txt", "\n\n\n".join(sorted(texts)))
