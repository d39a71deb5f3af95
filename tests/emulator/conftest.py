"""Fixtures of the emulator's tests: an HTTP caller without a client library, and minimal media files."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from attrs import field, frozen

from rh_async.emulator import Emulator

Json = dict[str, Any]
FIXTURES = Path(__file__).parent.parent / "fixtures"
KLING = "kling-v3.0-std/motion-control"
WAN = "rhart-video/wan2.2/character-motion-transfer"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)
BODY: Json = {
    "imageUrl": "https://example.test/hero.png",
    "videoUrl": "https://example.test/dance.mp4",
    "characterOrientation": "video",
}


def fixture(name: str) -> Json:
    """Return a recorded body."""
    body: Json = json.loads((FIXTURES / f"{name}.json").read_text())
    return body


def mp4(seconds: float, *, tail: bytes = b"") -> bytes:
    """Return a minimal MP4 with a duration and no pictures."""
    mvhd = struct.pack(">I4sIIIII", 32, b"mvhd", 0, 0, 0, 1000, round(seconds * 1000)) + bytes(4)
    moov = struct.pack(">I4s", 8 + len(mvhd), b"moov") + mvhd
    mdat = struct.pack(">I4s", 8 + len(tail), b"mdat") + tail
    return struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + mdat + moov


@frozen
class Caller:
    """Calls the API with plain HTTP requests."""

    server: Emulator
    http: aiohttp.ClientSession = field(repr=False)

    @property
    def admin_headers(self) -> dict[str, str]:
        """The header that the admin endpoints require."""
        return {"X-Emulator-Token": self.server.admin_token}

    def headers(self, path: str, key: str | None = None) -> dict[str, str]:
        if path.startswith("/_emulator/"):
            return self.admin_headers
        return {"Authorization": f"Bearer {self.server.api_key if key is None else key}"}

    async def post(self, path: str, body: object, *, key: str | None = None) -> Json:
        headers = self.headers(path, key)
        async with self.http.post(self.server.url + path, json=body, headers=headers) as response:
            assert response.status == 200
            answer: Json = await response.json()
            return answer

    async def get(self, path: str, *, key: str | None = None) -> Json:
        headers = self.headers(path, key)
        async with self.http.get(self.server.url + path, headers=headers) as response:
            answer: Json = await response.json()
            return answer

    async def submit(self, body: object = None, *, endpoint: str = KLING, key: str | None = None) -> Json:
        return await self.post(f"/openapi/v2/{endpoint}", BODY if body is None else body, key=key)

    async def query(self, task_id: object, *, key: str | None = None) -> Json:
        return await self.post("/openapi/v2/query", {"taskId": task_id}, key=key)

    async def upload(self, content: bytes, file_name: str, *, key: str | None = None, part: str = "file") -> Json:
        form = aiohttp.FormData()
        form.add_field(part, io.BytesIO(content), filename=file_name)
        headers = {"Authorization": f"Bearer {self.server.api_key if key is None else key}"}
        url = f"{self.server.url}/openapi/v2/media/upload/binary"
        async with self.http.post(url, data=form, headers=headers) as response:
            assert response.status == 200
            answer: Json = await response.json()
            return answer

    async def fetch(self, url: str, **headers: str) -> tuple[int, bytes]:
        async with self.http.get(url, headers=headers) as response:
            return response.status, await response.read()


Serve = Callable[..., Awaitable[Caller]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Return a function that starts an emulator; every emulator is stopped after the test."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Caller:
            server = await stack.enter_async_context(Emulator(**options))
            return Caller(server, await stack.enter_async_context(aiohttp.ClientSession()))

        yield start


@pytest.fixture
async def caller(serve: Serve) -> Caller:
    """Start an emulator with defaults, and tasks that run for a minute."""
    return await serve(seed=1, run_time=60.0)
