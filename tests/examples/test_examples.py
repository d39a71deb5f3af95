"""The programs that a user would write do what they say, against the emulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from rh_async.emulator import Emulator
from tests.examples import many_clips, progress, quickstart, resume, web_aiohttp, webhook
from tests.examples.notebooks import cells_of, run_cell
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
async def test_an_example_submits_what_it_says_and_saves_it(
    program: object, wanted: int, files: int, site: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with site as server:
        monkeypatch.setenv("RUNNINGHUB_BASE_URL", server.url)
        await program.main()  # type: ignore[attr-defined]
    assert len(server.ledger.tasks) == wanted
    assert len(list((tmp_path / "out").glob("*.mp4"))) == files


async def test_the_web_application_answers_with_the_task_and_submits_one_job_once(
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


async def test_a_delivery_to_the_webhook_ends_the_job_without_waiting_for_the_next_poll(
    site: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://hooks.example.com")
    monkeypatch.setenv("WEBHOOK_SECRET", "unguessable")
    async with site as server:
        monkeypatch.setenv("RUNNINGHUB_BASE_URL", server.url)
        app = webhook.make_app()
        async with TestServer(app) as own, ClientSession(own.make_url("/")) as client:
            asked = {"image": str(tmp_path / "hero.png"), "video": str(tmp_path / "clips" / "dance.mp4"), "id": "1"}
            assert (await client.post("/jobs", json=asked)).status == 202
            (task,) = server.ledger.tasks
            settles_at = task.settles_at or 0.0
            await anyio.sleep(settles_at - anyio.current_time())
            address = urlsplit(server.ledger.submissions[0].body["webhookUrl"])
            delivery = json.dumps({"event": "TASK_END", "taskId": task.task_id, "eventData": {}})
            refused = await client.post("/runninghub/guess", data=delivery)
            accepted = await client.post(f"{address.path}?{address.query}", data=delivery)
            await app[webhook.SESSION].attach(task.task_id)
            late = anyio.current_time() - settles_at
    assert (refused.status, accepted.status) == (404, 200)
    assert len(server.ledger.tasks) == 1
    assert late < 0.5


async def test_a_notebook_whose_cells_are_run_twice_buys_one_job(
    site: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = Path(webhook.__file__).with_name("notebook.ipynb")
    names: dict[str, Any] = {}
    async with site as server:
        monkeypatch.setenv("RUNNINGHUB_BASE_URL", server.url)
        for source in cells_of(notebook) * 2:
            await run_cell(source, names)
    (task,) = server.ledger.tasks
    first, second = capsys.readouterr().out.splitlines()
    assert first == second == f"{task.task_id} {Path('out') / task.task_id}_0.mp4"


def test_a_notebook_is_kept_without_what_it_printed() -> None:
    notebook = json.loads(Path(webhook.__file__).with_name("notebook.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [(cell["execution_count"], cell["outputs"]) for cell in cells] == [(None, [])] * len(cells)
