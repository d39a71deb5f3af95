"""``rh-async demo``: a manifest of clips against a local RunningHub, planned and run as any batch is."""

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
from rh_async._cli.execution.timing import now
from rh_async._cli.exit_codes import ExitCode
from rh_async._cli.options.prerequisites import need_folder, need_media
from rh_async._cli.output.plan_report import report
from rh_async._cli.output.reporter import Reporter, clip_and_character, outcome_line
from rh_async.batch import BatchOutcome, Plan, plan_manifest
from rh_async.emulator import Emulator, Ledger
from rh_async.models.registry import aliases

if TYPE_CHECKING:
    from rh_async._cli.demo.demo_clips import Clips

_OUT = Path("rh-async-demo")
_BRISK = PollingPolicy(interval=1.0, polls_per_second=20.0)
_SEED = 7
_RUN_TIMES = (4.0, 9.0)  #: seconds, in place of minutes
_MOST_IN_FLIGHT = 50
_SHOWN = 4
_MODELS = aliases()


async def demo(*, jobs: Annotated[int, Parameter(validator=Number(gte=1))] = 24, out: Path = _OUT) -> int:
    """Run made-up jobs against a local RunningHub: nothing is paid, nothing leaves this machine.

    :param jobs: how many.
    :param out: a folder for the videos; what they are made from goes into its folder inputs.
    """
    return await perform(DemoCommand(jobs=jobs, out=out, console=Console(highlight=False)))


@frozen(kw_only=True)
class DemoCommand:
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


async def perform(show: DemoCommand) -> ExitCode:
    """Give the demonstration, and return what its end is worth to a shell."""
    began = now()
    stop = Event()
    try:
        manifest = await asyncio.to_thread(_prepared, show, stop)
    finally:
        stop.set()  # a thread cannot be cancelled, and nobody who pressed Ctrl-C waits for drawings
    reporter = Reporter(text=show.console, live_view=show.console)
    plan = await plan_manifest(manifest)
    reporter.print(*report(plan))
    async with Emulator(seed=_SEED, limit=show.in_flight, render=show.render, run_time=_run_time) as server:
        reporter.print("", f"Jobs to run: {len(plan.ready)}, {show.in_flight} at a time, on {server.url}", "")
        outcomes = await _run(show, plan, server, reporter)
        _sum_up(show, outcomes, server.ledger, now() - began)
    return (
        ExitCode.SUCCESS if plan.is_valid and all(outcome.state == "saved" for outcome in outcomes) else ExitCode.FAILED
    )


def _run_time(_endpoint: str, rng: Random) -> float:
    return rng.uniform(*_RUN_TIMES)


def cast(clips: Clips, jobs: int) -> list[DemoJob]:
    """Give every job its character, its dance and its model; no two are alike before all combinations have been."""
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
    """Who dances what, and which model shows it."""

    image: Path
    video: Path
    model: str

    def row(self, number: int) -> list[str]:
        """What a person would write into a manifest; its own key keeps it from being another's twin."""
        return [f"demo-{number}", self.image.name, self.video.name, self.model]


def _prepared(show: DemoCommand, stop: Event) -> Path:
    """Draw what there is to send, and write down what is wanted of it: a manifest."""
    need_media("demo")
    from rh_async._cli.demo.demo_clips import make_clips  # noqa: PLC0415 - needs the media extra, which may be missing

    folder = show.out / "inputs"
    need_folder(show.out, "")
    folder.mkdir(exist_ok=True)
    show.console.print("Drawing character images and driving videos …")
    clips = (show.make or make_clips)(folder, stop)
    manifest = folder / "jobs.csv"
    with manifest.open("w", newline="", encoding="utf-8") as sink:
        rows = csv.writer(sink)
        rows.writerow(["key", "image", "video", "model"])
        rows.writerows(part.row(number) for number, part in enumerate(cast(clips, show.jobs), start=1))
    return manifest


async def _run(show: DemoCommand, plan: Plan, server: Emulator, reporter: Reporter) -> list[BatchOutcome]:
    outcomes: list[BatchOutcome] = []
    out = await asyncio.to_thread(show.out.absolute)
    session = Session(server.api_key, base_url=server.url, in_flight=show.in_flight, polling=_BRISK)
    try:
        async with session, aclosing(session.batch(plan, out)) as batch, reporter.show_progress(batch):
            async for outcome in batch:
                outcomes.append(outcome)
                reporter.report_outcome(outcome)
    except asyncio.CancelledError:
        saved = sum(outcome.state == "saved" for outcome in outcomes)
        reporter.print("", f"{saved} of {show.jobs} videos were saved in {show.out}")
        raise
    return outcomes


def _sum_up(show: DemoCommand, outcomes: list[BatchOutcome], ledger: Ledger, seconds: float) -> None:
    saved = sum(outcome.state == "saved" for outcome in outcomes)
    facts = {
        "wanted": f"{show.jobs}",
        "succeeded": f"{saved}",
        "failed": f"{show.jobs - saved}",
        "asked": f"questions {len(ledger.calls)}, submits {len(ledger.submissions)}, uploads {len(ledger.uploads)}",
        "money": f"CNY {ledger.total_charged} by the emulator's ledger; nothing real was paid",
        "time": f"{seconds:.1f} s",
        "videos": f"{show.out}",
    }
    show.console.print()
    for name, fact in facts.items():
        show.console.print(f"  [bold]{name:<10}[/] {escape(fact)}", soft_wrap=True)
    for line in (*_failures(outcomes), *_samples(outcomes)):
        show.console.print(line, soft_wrap=True)


def _failures(outcomes: list[BatchOutcome]) -> Iterator[Text]:
    for outcome in outcomes:
        if outcome.error is not None:
            yield Text(f"  {outcome_line(outcome)}", style="red")


def _samples(outcomes: list[BatchOutcome]) -> Iterator[Text]:
    saved = {clip_and_character(outcome.entry): outcome.paths[0] for outcome in outcomes if outcome.paths}
    if saved:
        yield Text("\nLook at some, each shows which character met which dance:")
    for name, path in islice(saved.items(), _SHOWN):
        yield Text(f"  {name:<15} {path}")
