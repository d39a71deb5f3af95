"""``rh-async demo``: by the ledger every job is submitted once, and the summary agrees with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from threading import Event

import anyio
import av
import pytest
from PIL import Image, ImageColor

from rh_async._cli import app as _app
from rh_async._cli.commands.demo_command import DemoCommand, demo, make_jobs, perform
from rh_async._cli.demo.demo_clips import Clips
from rh_async._cli.demo.drawings import CHARACTERS, DANCES
from rh_async._cli.exit_codes import ExitCode, UsageError
from rh_async.emulator import Emulator
from tests.cli.conftest import plain, printed, small_clips, terminal

Prepare = Callable[..., DemoCommand]


async def test_the_demo_submits_every_job_once_and_saves_it(show: Prepare, servers: list[Emulator]) -> None:
    act = show(jobs=24)
    assert await perform(act) is ExitCode.SUCCESS
    ledger = servers[0].ledger
    assert len(ledger.tasks) == len(ledger.submissions) == 24
    saved = {path.stem.rpartition("__")[2] for path in act.out.glob("*.mp4")}
    assert saved == {task.task_id for task in ledger.tasks}
    assert len({task.endpoint for task in ledger.tasks}) == 6
    assert len(ledger.uploads) == 4
    assert ledger.peak_unsettled() <= act.in_flight == 12


async def test_the_summary_agrees_with_the_ledger(show: Prepare, servers: list[Emulator]) -> None:
    act = show(jobs=5)
    await perform(act)
    ledger, summary = servers[0].ledger, printed(act.console)
    for line in (
        "wanted     5",
        "succeeded  5",
        "failed     0",
        f"calls      queries {len(ledger.calls)}, submits 5, uploads 4",
        f"money      CNY {ledger.total_charged} by the emulator's ledger; nothing real was billed",
        f"videos     {act.out}",
    ):
        assert f"  {line}\n" in summary


async def test_a_clip_that_cannot_be_sent_is_named_and_the_other_jobs_run(
    show: Prepare, servers: list[Emulator]
) -> None:
    def one_missing(folder: Path, stop: Event) -> Clips:
        clips = small_clips(folder, stop)
        clips.videos[1].unlink()
        return clips

    act = show(jobs=4, make=one_missing)
    assert await perform(act) is ExitCode.FAILED
    assert len(servers[0].ledger.tasks) == 2
    assert "succeeded  2\n  failed     2\n" in printed(act.console)
    assert re.search(r"jobs\.csv:\d: .*y\.mp4: does not exist", printed(act.console))


async def test_without_saved_videos_no_samples_are_listed(show: Prepare, servers: list[Emulator]) -> None:
    act = show(jobs=1, make=lambda folder, _: Clips((folder / "none.png",), (folder / "none.mp4",)))
    assert await perform(act) is ExitCode.FAILED
    assert servers[0].ledger.submissions == []
    assert "Look at some" not in printed(act.console)


async def test_the_demo_runs_twice_in_the_same_folder(show: Prepare, servers: list[Emulator]) -> None:
    assert await perform(show(jobs=2)) is await perform(show(jobs=2)) is ExitCode.SUCCESS
    assert len(servers) == 2


async def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_drawn(
    show: Prepare, tmp_path: Path, servers: list[Emulator]
) -> None:
    (tmp_path / "taken").touch()
    act = show(jobs=1, out=tmp_path / "taken")
    with pytest.raises(UsageError, match=r"--out .*taken cannot be written: File exists"):
        await perform(act)
    assert printed(act.console) == ""
    assert servers == []


async def test_an_interrupted_demo_says_how_many_videos_were_saved(show: Prepare, servers: list[Emulator]) -> None:
    act = show(jobs=6)
    performance = asyncio.create_task(perform(act))
    while not list(act.out.glob("*.mp4")):  # noqa: ASYNC110 - the disk rings no bell
        await anyio.sleep(0.5)
    performance.cancel()
    with pytest.raises(asyncio.CancelledError):
        await performance
    printed_count = re.search(r"(\d) of 6 videos were saved in", printed(act.console))
    assert printed_count is not None
    assert int(printed_count[1]) == len(list(act.out.glob("*.mp4"))) > 0


async def test_a_demo_interrupted_while_it_draws_does_not_finish_the_drawings(show: Prepare) -> None:
    drawing, loop = asyncio.Event(), asyncio.get_running_loop()
    stopped: list[bool] = []

    def slowly(_: Path, stop: Event) -> Clips:
        loop.call_soon_threadsafe(drawing.set)
        stopped.append(stop.wait(timeout=20))
        return Clips((), ())

    performance = asyncio.create_task(perform(show(jobs=1, make=slowly)))
    await drawing.wait()
    performance.cancel()
    with pytest.raises(asyncio.CancelledError):
        await performance
    await loop.shutdown_default_executor()
    assert stopped == [True]


async def test_the_command_passes_its_options_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shows: list[DemoCommand] = []

    async def noted(act: DemoCommand) -> ExitCode:
        shows.append(act)
        return ExitCode.SUCCESS

    monkeypatch.setattr("rh_async._cli.commands.demo_command.perform", noted)
    assert await _app.app.run_async(["demo", "--jobs", "3", "--out", str(tmp_path)]) == 0
    assert await demo() == 0
    assert [(act.jobs, act.out, act.render) for act in shows] == [
        (3, tmp_path, True),
        (24, Path("rh-async-demo"), True),
    ]


def test_no_two_jobs_are_equal_before_every_combination_was_used() -> None:
    clips = Clips(tuple(map(Path, "abcd")), tuple(map(Path, "wxyz")))
    parts = make_jobs(clips, 96)
    assert len(set(parts)) == 96
    assert len({(part.image, part.video) for part in parts[:16]}) == 16
    assert len({part.model for part in parts[:6]}) == 6


@pytest.mark.parametrize("width", [80, 160])
async def test_on_a_terminal_no_line_is_wrapped(show: Prepare, servers: list[Emulator], width: int) -> None:
    act = show(jobs=6, console=terminal(width))
    await perform(act)
    lines = [line.rsplit("\x1b[2K", 1)[-1].rstrip() for line in printed(act.console).splitlines()]
    named = [line for line in lines if line.startswith(("now  ", "ended  ", "traffic  ", "money  ", "time  "))]
    assert [line.split()[0] for line in named[-5:]] == ["now", "ended", "traffic", "money", "time"]
    assert "saved 6 · failed 0" in named[-4]
    assert all(len(line) <= width and "…" not in line for line in named)
    assert len(servers[0].ledger.tasks) == 6


async def test_each_video_shows_the_character_and_the_dance_that_its_line_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rh_async._cli.demo.demo_clips._FRAMES_PER_SECOND", 6)
    monkeypatch.setattr("rh_async._cli.commands.demo_command._SAMPLES", 16)
    act = DemoCommand(jobs=16, out=tmp_path, console=plain())
    assert await perform(act) is ExitCode.SUCCESS
    samples = re.findall(r"^  (\w+) × (\w+) +(\S+\.mp4)$", printed(act.console), re.MULTILINE)
    assert len({sample[:2] for sample in samples}) == 16
    for dance, character, path in samples:
        frame = await asyncio.to_thread(_first_frame, Path(path))
        assert _alike(frame.getpixel((5, frame.height // 2)), DANCES[dance].wall)
        assert _alike(frame.getpixel((frame.width - 12, frame.height - 160)), CHARACTERS[character].backdrop[0])


def _first_frame(path: Path) -> Image.Image:
    with av.open(path) as source:
        return next(source.decode(video=0)).to_image()  # type: ignore[no-untyped-call, no-any-return]


def _alike(pixel: float | tuple[int, ...] | None, colour: str) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(seen - meant) < 24 for seen, meant in zip(pixel, ImageColor.getrgb(colour), strict=True))
