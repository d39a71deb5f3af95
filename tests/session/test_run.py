"""`rh_async.run` in real time: from a script, from a notebook's running loop, and stopped by Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster

import rh_async
from rh_async import DreamActor, PollingPolicy, Session
from rh_async.batch import OutputNaming
from rh_async.emulator import Emulator, Fault
from rh_async.errors import InvalidRequestError
from tests.session.conftest import Media

pytestmark = pytest.mark.processes

POLLING = PollingPolicy(interval=0.1, max_interval=0.2)

_SCRIPT = """
import asyncio, logging, sys
import rh_async
from rh_async import DreamActor, PollingPolicy, Session

logging.basicConfig(stream=sys.stdout, format="%(message)s")
key, url = sys.argv[1:]
rh_async.run(DreamActor("https://e.test/hero.png", "https://e.test/dance.mp4"), session=Session(key, base_url=url))
"""


@pytest.fixture(autouse=True)
def blocking_is_allowed(nothing_blocks_the_loop: BlockBuster) -> None:
    nothing_blocks_the_loop.deactivate()  # to block the caller's loop is what `run` is for


@pytest.fixture
def site() -> Iterator[Emulator]:
    """An emulator in a thread of its own, as `run` blocks the one that calls it."""
    server, up, stop = Emulator(seed=1, scale=0.001), threading.Event(), threading.Event()

    async def serve() -> None:
        async with server:
            up.set()
            while not stop.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(10)
    yield server
    stop.set()
    thread.join()


def opened(site: Emulator) -> Session:
    return Session(site.api_key, base_url=site.url, polling=POLLING)


def test_run_returns_the_result_and_saves_the_outputs(site: Emulator, media: Media, tmp_path: Path) -> None:
    naming = OutputNaming("mine_{task_id}.mp4")
    request = DreamActor(media.images[0], media.videos[0])
    result = rh_async.run(request, session=opened(site), output_dir=tmp_path, naming=naming)
    (task,) = site.ledger.tasks
    assert result.task_id == task.task_id
    assert [path.name for path in result.paths] == [f"mine_{task.task_id}.mp4"]
    assert all(path.is_file() for path in result.paths)


def test_run_works_where_a_loop_runs_already_as_in_a_notebook(site: Emulator, media: Media) -> None:
    async def cell() -> rh_async.Result:
        return rh_async.run(DreamActor(media.images[0], media.videos[0]), session=opened(site))

    assert asyncio.run(cell()).task_id == site.ledger.tasks[0].task_id
    assert len(site.ledger.tasks) == 1


@pytest.mark.parametrize("in_a_loop", [False, True])
def test_run_raises_what_the_session_raises(in_a_loop: bool, site: Emulator) -> None:
    async def cell() -> None:
        rh_async.run("hero.png", session=opened(site))  # type: ignore[arg-type]

    with pytest.raises(InvalidRequestError, match="is no request"):
        asyncio.run(cell()) if in_a_loop else rh_async.run("hero.png", session=opened(site))  # type: ignore[arg-type]
    assert site.ledger.submissions == []


CALLERS = {
    "script": "{call}",
    "in asyncio.run": "async def cell():\n    {call}\nasyncio.run(cell())",
    "in a notebook's loop": "async def cell():\n    {call}\nasyncio.new_event_loop().run_until_complete(cell())",
}
"""The loop of `asyncio.run` makes a cancellation of Ctrl-C; a notebook's lets it raise KeyboardInterrupt."""


@pytest.mark.parametrize("caller", CALLERS)
def test_ctrl_c_finishes_an_open_submit_and_names_the_task(caller: str, site: Emulator) -> None:
    site.faults.add(Fault("slow_response", seconds=1.0))
    head, _, call = _SCRIPT.strip().rpartition("\n")
    program = [sys.executable, "-c", f"{head}\n{CALLERS[caller].format(call=call)}", site.api_key, site.url]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603 - ours
        give_up_at = time.monotonic() + 20
        while not site.ledger.submissions:
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    (task,) = site.ledger.tasks
    assert f"rh_async.left_running {task.task_id}" in out
    assert "KeyboardInterrupt" in out
    assert process.returncode != 0
