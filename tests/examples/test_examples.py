"""The programs that a user would write do what they say, against the emulator."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from rh_async.emulator import Emulator
from tests.examples import many_clips, progress, quickstart, resume, web_aiohttp
from tests.media import draw_image, film_video


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """A local RunningHub that the environment names, and a folder as the programs expect it."""
    (tmp_path / "clips").mkdir()
    draw_image(tmp_path / "hero.png", size=(480, 640))
    film_video(tmp_path / "clips" / "dance.mp4")
    film_video(tmp_path / "clips" / "jump.mp4", shade=200)
    monkeypatch.chdir(tmp_path)
    server = Emulator(seed=1)
    monkeypatch.setenv("RUNNINGHUB_API_KEY", server.api_key)
    return server


@pytest.mark.parametrize(
    ("program", "wanted", "files"),
    [(quickstart, 1, 1), (many_clips, 2, 2), (progress, 1, 0), (resume, 1, 1)],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_an_example_buys_what_it_means_to_and_saves_it(
    program: object, wanted: int, files: int, site: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with site as server:
        monkeypatch.setenv("RUNNINGHUB_BASE_URL", server.url)
        await program.main()  # type: ignore[attr-defined]
    assert len(server.ledger.tasks) == wanted
    assert len(list((tmp_path / "out").glob("*.mp4"))) == files


async def test_the_web_aiohttp_answers_with_the_task_and_buys_one_job_once(
    site: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with site as server:
        monkeypatch.setenv("RUNNINGHUB_BASE_URL", server.url)
        async with TestServer(web_aiohttp.make_app()) as own, ClientSession(own.make_url("/")) as client:
            asked = {"image": str(tmp_path / "hero.png"), "video": str(tmp_path / "clips" / "dance.mp4"), "id": "1"}
            answers = [await client.post("/jobs", json=asked) for _ in range(2)]
            told = [(answer.status, (await answer.json())["task"]) for answer in answers]
            bad = await client.post("/jobs", json=asked | {"image": "", "id": "2"})
    (task,) = server.ledger.tasks
    assert told == [(202, task.task_id)] * 2
    assert bad.status == 422
