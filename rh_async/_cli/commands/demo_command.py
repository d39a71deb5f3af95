"""``rh-async demo``: a manifest of drawn clips, planned and run as any batch, against a local RunningHub."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Callable, Iterator
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from random import Random
from threading import Event
from typing import TYPE_CHECKING, Annotated

from attrs import frozen
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from rh_async import PollingPolicy, Session
from rh_async._cli.exit_codes import ExitCode
from rh_async._cli.options.prerequisites import need_folder, need_media
from rh_async._cli.output.plan_report import report
from rh_async._cli.output.reporter import Reporter, clip_and_character, outcome_line
from rh_async._cli.terminal.timing import now
from rh_async.batch import BatchOutcome, Plan, plan_manifest
from rh_async.emulator import Emulator, Ledger
from rh_async.models.registry import aliases

if TYPE_CHECKING:
    from rh_async._cli.demo.demo_clips import Clips

_OUT = Path("rh-async-demo")
_FAST_POLLING = PollingPolicy(interval=1.0, polls_per_second=20.0)
_SEED = 7
_RUN_TIMES = (4.0, 9.0)  #: seconds, in place of minutes
_MAX_IN_FLIGHT = 50
_SAMPLES = 4
_MODELS = aliases()


async def demo(*, jobs: Annotated[int, Parameter(validator=Number(gte=1))] = 24, out: Path = _OUT) -> int:
    """Run generated jobs against a local RunningHub: nothing is billed, nothing leaves this machine.

    :param jobs: how many.
    :param out: a folder for the videos; their inputs go into its folder inputs.
    """
    return await perform(DemoCommand(jobs=jobs, out=out, console=Console(highlight=False)))


@frozen(kw_only=True)
class DemoCommand:
    """One run of the demo.

    :param render: whether the emulator draws the character into the driving video.
    :param make: puts images and videos into a folder; None draws them.
    """

    jobs: int
    out: Path
    console: Console
    render: bool = True
    make: Callable[[Path, Event], Clips] | None = None

    @property
    def in_flight(self) -> int:
        """Return how many jobs run at once: half of them, so that a released slot is seen to be taken again."""
        return min((self.jobs + 1) // 2, _MAX_IN_FLIGHT)


async def perform(command: DemoCommand) -> ExitCode:
    """Run the demo, and return its exit code."""
    began = now()
    stop = Event()
    try:
        manifest = await asyncio.to_thread(_prepare, command, stop)
    finally:
        stop.set()  # a thread cannot be cancelled: after Ctrl-C it must not go on drawing
    reporter = Reporter(text=command.console, live_view=command.console)
    plan = await plan_manifest(manifest)
    reporter.print(*report(plan))
    async with Emulator(seed=_SEED, limit=command.in_flight, render=command.render, run_time=_run_time) as server:
        reporter.print("", f"Jobs to run: {len(plan.ready)}, {command.in_flight} at a time, on {server.url}", "")
        outcomes = await _run(command, plan, server, reporter)
        _print_summary(command, outcomes, server.ledger, now() - began)
    return (
        ExitCode.SUCCESS if plan.is_valid and all(outcome.state == "saved" for outcome in outcomes) else ExitCode.FAILED
    )


def _run_time(_endpoint: str, rng: Random) -> float:
    return rng.uniform(*_RUN_TIMES)


def make_jobs(clips: Clips, jobs: int) -> list[DemoJob]:
    """Choose image, video and model of each job; no two are equal before every combination was used."""
    pairs = len(clips.images) * len(clips.videos)
    return [
        DemoJob(
            image=clips.images[number % len(clips.images)],
            video=clips.videos[number % pairs // len(clips.images)],
            model=_MODELS[(number + number // pairs) % len(_MODELS)],
        )
        for number in range(jobs)
    ]


@frozen(kw_only=True)
class DemoJob:
    """The image, the video and the model of one job."""

    image: Path
    video: Path
    model: str

    def row(self, number: int) -> list[str]:
        """Return its row of the manifest; with a key of its own, it is no duplicate of another job."""
        return [f"demo-{number}", self.image.name, self.video.name, self.model]


def _prepare(command: DemoCommand, stop: Event) -> Path:
    """Draw the inputs, and write the manifest."""
    need_media("demo")
    from rh_async._cli.demo.demo_clips import make_clips  # noqa: PLC0415 - needs the media extra, which may be missing

    folder = command.out / "inputs"
    need_folder(command.out, "")
    folder.mkdir(exist_ok=True)
    command.console.print("Drawing character images and driving videos …")
    clips = (command.make or make_clips)(folder, stop)
    manifest = folder / "jobs.csv"
    with manifest.open("w", newline="", encoding="utf-8") as sink:
        rows = csv.writer(sink)
        rows.writerow(["key", "image", "video", "model"])
        rows.writerows(job.row(number) for number, job in enumerate(make_jobs(clips, command.jobs), start=1))
    return manifest


async def _run(command: DemoCommand, plan: Plan, server: Emulator, reporter: Reporter) -> list[BatchOutcome]:
    outcomes: list[BatchOutcome] = []
    out = await asyncio.to_thread(command.out.absolute)
    session = Session(server.api_key, base_url=server.url, in_flight=command.in_flight, polling=_FAST_POLLING)
    try:
        async with session, aclosing(session.batch(plan, out)) as batch, reporter.show_progress(batch):
            async for outcome in batch:
                outcomes.append(outcome)
                reporter.report_outcome(outcome)
    except asyncio.CancelledError:
        saved = sum(outcome.state == "saved" for outcome in outcomes)
        reporter.print("", f"{saved} of {command.jobs} videos were saved in {command.out}")
        raise
    return outcomes


def _print_summary(command: DemoCommand, outcomes: list[BatchOutcome], ledger: Ledger, seconds: float) -> None:
    saved = sum(outcome.state == "saved" for outcome in outcomes)
    fields = {
        "wanted": f"{command.jobs}",
        "succeeded": f"{saved}",
        "failed": f"{command.jobs - saved}",
        "calls": f"queries {len(ledger.calls)}, submits {len(ledger.submissions)}, uploads {len(ledger.uploads)}",
        "money": f"CNY {ledger.total_charged} by the emulator's ledger; nothing real was billed",
        "time": f"{seconds:.1f} s",
        "videos": f"{command.out}",
    }
    command.console.print()
    for name, value in fields.items():
        command.console.print(f"  [bold]{name:<10}[/] {escape(value)}", soft_wrap=True)
    for line in (*_failures(outcomes), *_samples(outcomes)):
        command.console.print(line, soft_wrap=True)


def _failures(outcomes: list[BatchOutcome]) -> Iterator[Text]:
    for outcome in outcomes:
        if outcome.error is not None:
            yield Text(f"  {outcome_line(outcome)}", style="red")


def _samples(outcomes: list[BatchOutcome]) -> Iterator[Text]:
    saved = {clip_and_character(outcome.entry): outcome.paths[0] for outcome in outcomes if outcome.paths}
    if saved:
        yield Text("\nSome of them; each shows its character in its driving video:")
    for name, path in islice(saved.items(), _SAMPLES):
        yield Text(f"  {name:<15} {path}")
