"""Fixtures for commands: small clips, an emulator as the server, a journal of the test's own."""

from __future__ import annotations

import io
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from attrs import frozen
from cyclopts import CycloptsError
from rich.console import Console

from rh_async import RHError
from rh_async._cli import app as _app
from rh_async._cli.commands import demo_command as _demo
from rh_async._cli.demo.demo_clips import Clips
from rh_async._cli.exit_codes import Interrupted, UsageError
from rh_async.emulator import Emulator
from tests.media import draw_image, film_video


def plain() -> Console:
    """Make a console that is no terminal and keeps what is printed."""
    return Console(file=io.StringIO(), width=80, highlight=False)


def terminal(width: int) -> Console:
    """Make a console that is a terminal of some width."""
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)


def printed(console: Console) -> str:
    """Return everything that was printed on a console."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def small_clips(folder: Path, _stop: Event) -> Clips:
    """Make two images and two videos, quickly."""
    images = tuple(
        draw_image(folder / f"{name}.png", shade=shade, size=(480, 640)) for name, shade in (("a", 1), ("b", 2))
    )
    videos = tuple(film_video(folder / f"{name}.mp4", shade=shade) for name, shade in (("x", 3), ("y", 4)))
    return Clips(images, videos)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> list[Emulator]:
    """Return every emulator that a demo has started."""
    started: list[Emulator] = []

    def start(**options: Any) -> Emulator:
        started.append(Emulator(**options))
        return started[-1]

    monkeypatch.setattr(_demo, "Emulator", start)
    return started


@pytest.fixture
def show(tmp_path: Path) -> Callable[..., _demo.DemoCommand]:
    """Make demos that draw nothing."""

    def prepare(**options: Any) -> _demo.DemoCommand:
        defaults: dict[str, Any] = {"out": tmp_path / "out", "console": plain(), "render": False, "make": small_clips}
        return _demo.DemoCommand(**(defaults | options))

    return prepare


@frozen
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str


Shell = Callable[[str], Awaitable[Ended]]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run command lines on the test's event loop, as `rh_async._cli.run` does on its own."""

    async def run(line: str) -> Ended:
        try:
            code = int(await _app.app.run_async(shlex.split(line)))
        except (CycloptsError, UsageError, Interrupted, RHError) as ending:
            code = _app._report(ending, debug=False)
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture(autouse=True)
def journal_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the journal's path; no test touches the user's own."""
    path = tmp_path / "journal.db"
    monkeypatch.setenv("RH_ASYNC_JOURNAL", str(path))
    return path


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Emulator]:
    """Start an emulator, and set the environment to it."""
    async with Emulator(seed=1, balance=100, limit=7) as server:
        monkeypatch.setenv("RUNNINGHUB_BASE_URL", server.url)
        monkeypatch.setenv("RUNNINGHUB_API_KEY", server.api_key)
        yield server


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change into a folder with one character image and one driving video."""
    draw_image(tmp_path / "hero.png", size=(480, 640))
    film_video(tmp_path / "dance.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path
