"""``rh-async demo``: many jobs against a local RunningHub, through every caller's doors, and what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryFile
from threading import Event
from typing import TYPE_CHECKING, Annotated

import anyio
from attrs import frozen
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from rh_async import CharacterMotionTransfer, DreamActor, KlingMotionControl, Outcome, Pace, Request, Session
from rh_async.emulator import Emulator, Ledger

from ._exits import Exit, Misuse
from ._needs import need_media
from ._progress import shown
from ._tally import Tally

if TYPE_CHECKING:
    from ._clips import Clips

_OUT = Path("rh-async-demo")
_BRISK = Pace(interval=1.0, questions_per_second=20.0)
_SEED = 7
_RUN_TIMES = (4.0, 9.0)  #: seconds, in place of minutes
_MOST_IN_FLIGHT = 50
_SHOWN = 4
_MODELS: tuple[Callable[[Path, Path], Request], ...] = (
    lambda image, video: KlingMotionControl(image, video, model="kling-v3.0-std"),
    lambda image, video: KlingMotionControl(image, video, model="kling-v3.0-pro"),
    lambda image, video: KlingMotionControl(image, video, model="kling-v2.6-std"),
    lambda image, video: KlingMotionControl(image, video, model="kling-v2.6-pro"),
    DreamActor,
    CharacterMotionTransfer,
)


async def demo(*, jobs: Annotated[int, Parameter(validator=Number(gte=1))] = 24, out: Path = _OUT) -> int:
    """Run made-up jobs against a local RunningHub: nothing is paid, nothing leaves this machine.

    :param jobs: how many.
    :param out: a folder for the videos; what they are made from goes into its folder inputs.
    """
    return await perform(Show(jobs=jobs, out=out, console=Console(highlight=False)))


@frozen(kw_only=True)
class Show:
    """One demonstration.

    :param render: whether the emulator draws who met whom.
    :param make: puts something to send into a folder; None draws it.
    """

    jobs: int
    out: Path
    console: Console
    render: bool = True
    make: Callable[[Path, Event], Clips] | None = None

    @property
    def in_flight(self) -> int:
        """Half of the jobs, so that a freed place is seen to be filled again."""
        return min((self.jobs + 1) // 2, _MOST_IN_FLIGHT)


async def perform(show: Show) -> Exit:
    """Give the demonstration, and return what its end is worth to a shell."""
    began = anyio.current_time()
    stop = Event()
    try:
        clips = await asyncio.to_thread(_prepared, show, stop)
    finally:
        stop.set()  # a thread cannot be cancelled, and nobody who pressed Ctrl-C waits for drawings
    async with Emulator(seed=_SEED, limit=show.in_flight, render=show.render, run_time=_run_time) as server:
        show.console.print(f"Jobs to run: {show.jobs}, {show.in_flight} at a time, on {server.url}\n")
        outcomes = await _mapped(show, cast(clips, show.jobs), server)
        _sum_up(show, outcomes, server.ledger, anyio.current_time() - began)
    return Exit.GOOD if len(outcomes) == show.jobs and not any(outcome.error for outcome in outcomes) else Exit.FAILED


def _run_time(_endpoint: str, rng: Random) -> float:
    return rng.uniform(*_RUN_TIMES)


def cast(clips: Clips, jobs: int) -> list[Part]:
    """Give every job its character, its dance and its model; no two are alike before all combinations have been."""
    pairs = len(clips.images) * len(clips.videos)
    return [
        Part(
            image=clips.images[number % len(clips.images)],
            video=clips.videos[number % pairs // len(clips.images)],
            model=(number + number // pairs) % len(_MODELS),
        )
        for number in range(jobs)
    ]


@frozen(kw_only=True)
class Part:
    """Who dances what, and which model shows it.

    :param model: its place in the list of models.
    """

    image: Path
    video: Path
    model: int

    def request(self) -> Request:
        """What a caller would write."""
        return _MODELS[self.model](self.image, self.video)


def _prepared(show: Show, stop: Event) -> Clips:
    need_media("demo")
    from ._clips import make_clips  # noqa: PLC0415 - needs the media extra, which may be missing

    folder = show.out / "inputs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            show.console.print("Drawing character images and driving videos …")
        return (show.make or make_clips)(folder, stop)
    except OSError as error:
        raise Misuse(f"--out {show.out} cannot be written: {error.strerror or error}") from error


async def _mapped(show: Show, parts: list[Part], server: Emulator) -> list[Outcome]:
    files = {part.image for part in parts} | {part.video for part in parts}
    tally = Tally(clock=anyio.current_time, jobs=len(parts), files=len(files))
    requests = (part.request() for part in parts)
    session = Session(server.api_key, base_url=server.url, in_flight=show.in_flight, pace=_BRISK, on_event=tally.tell)
    try:
        async with session, shown(show.console, tally):
            return [outcome async for outcome in session.map(requests, save_to=show.out, overwrite=True)]
    except asyncio.CancelledError:
        show.console.print(
            Text(f"\n{tally.download.done} of {show.jobs} videos were saved in {show.out}"), soft_wrap=True
        )
        raise


def _sum_up(show: Show, outcomes: list[Outcome], ledger: Ledger, seconds: float) -> None:
    failed = [outcome for outcome in outcomes if outcome.error]
    facts = {
        "wanted": f"{show.jobs}",
        "succeeded": f"{len(outcomes) - len(failed)}",
        "failed": f"{len(failed)}",
        "asked": f"questions {len(ledger.questions)}, submits {len(ledger.submissions)}, uploads {len(ledger.uploads)}",
        "money": f"CNY {ledger.money} by the emulator's ledger; nothing real was paid",
        "time": f"{seconds:.1f} s",
        "videos": f"{show.out}",
    }
    show.console.print()
    for name, fact in facts.items():
        show.console.print(f"  [bold]{name:<10}[/] {escape(fact)}", soft_wrap=True)
    for line in (*_failures(failed), *_samples(outcomes)):
        show.console.print(line, soft_wrap=True)


def _failures(failed: list[Outcome]) -> Iterator[Text]:
    for outcome in failed:
        yield Text(f"  {_who(outcome)}, {outcome.request.endpoint}: {outcome.error}", style="red")


def _samples(outcomes: list[Outcome]) -> Iterator[Text]:
    saved = {_who(outcome): outcome.result.paths[0] for outcome in outcomes if outcome.result and outcome.result.paths}
    if saved:
        yield Text("\nLook at some, each shows which character met which dance:")
    for who, path in islice(saved.items(), _SHOWN):
        yield Text(f"  {who:<15} {path}")


def _who(outcome: Outcome) -> str:
    image, video = (media.path for media in outcome.request.media())
    return f"{image.stem} × {video.stem}"
