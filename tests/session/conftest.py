"""A running emulator, a session against it, and media to send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import frozen

from rh_async import Session
from rh_async.emulator import Emulator
from tests.media import draw_image, film_video


@frozen
class Media:
    """Three character images and three driving videos of 3, 4 and 5 seconds."""

    images: tuple[Path, ...]
    videos: tuple[Path, ...]


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    folder = tmp_path_factory.mktemp("media")
    images = tuple(draw_image(folder / f"hero{n}.png", shade=60 * n) for n in range(3))
    videos = tuple(film_video(folder / f"dance{n}.mp4", seconds=3 + n, shade=80 * n) for n in range(3))
    return Media(images, videos)


@pytest.fixture
async def server() -> AsyncIterator[Emulator]:
    async with Emulator(seed=1) as server:
        yield server


@pytest.fixture
async def session(server: Emulator) -> AsyncIterator[Session]:
    async with Session(server.api_key, base_url=server.url) as session:
        yield session
