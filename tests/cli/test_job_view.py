"""The view of a few jobs: a table on a terminal, log lines elsewhere, of what the events say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from attrs import define

from rh_async import Result, Snapshot, TaskId, Upload, Usage
from rh_async._cli.output.job_view import phase_table, show_phases
from rh_async.batch import ProgressCounter
from rh_async.errors import JobFailed
from rh_async.events import Changed, Downloading, Saved, Settled, Submitted, Uploaded, Uploading, Waiting
from tests.cli.conftest import plain, printed, terminal

HERO = Path("hero.png")
ONE, TWO = TaskId("1"), TaskId("2")
ENDPOINT = "bytedance/dreamactor-v2"


@define
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def result(task_id: TaskId) -> Result:
    return Result(task_id=task_id, outputs=(), usage=Usage(), noticed_utc=datetime.now(UTC))


def drawn(counter: ProgressCounter, width: int = 80) -> str:
    console = terminal(width)
    console.print(phase_table(counter.snapshot(), width))
    return printed(console)


def test_a_terminal_shows_counts_bytes_rates_and_the_time_left(clock: Clock) -> None:
    counter = ProgressCounter(clock=clock, jobs=4, files=1)
    counter.on_event(Uploading(path=HERO, bytes=0, total=2_000_000))
    clock.now = 1.0
    counter.on_event(Uploading(path=HERO, bytes=2_000_000, total=2_000_000))
    counter.on_event(Uploaded(path=HERO, upload=Upload()))
    for task in (ONE, TWO):
        counter.on_event(Submitted(task_id=task, endpoint=ENDPOINT))
    counter.on_event(Changed(snapshot=Snapshot(task_id=ONE, status="RUNNING")))
    clock.now = 61.0
    counter.on_event(Settled(task_id=ONE, result=result(ONE)))
    counter.on_event(Downloading(task_id=ONE, bytes=500_000, total=None))
    counter.on_event(Saved(task_id=ONE, paths=()))
    clock.now = 63.0
    upload, submit, running, download = (line.split() for line in drawn(counter).splitlines())
    assert upload[2:] == ["1/1", "2.0", "MB", "2.0", "MB/s", "in", "0:01"]
    assert submit[2:] == ["2/4", "0.0/s", "1:02", "left"]
    assert running[2:] == ["1/4", "1", "now", "0.0/s", "1:43", "left"]
    assert download[2:] == ["1/4", "500.0", "kB", "250.0", "kB/s", "1:43", "left"]


def test_without_a_known_total_there_is_a_count_and_no_estimate(clock: Clock) -> None:
    counter = ProgressCounter(clock=clock)
    counter.on_event(Submitted(task_id=ONE, endpoint=ENDPOINT))
    assert "left" not in drawn(counter)
    assert "/" not in drawn(counter)


def test_the_reason_for_waiting_is_shown_until_the_next_job_is_accepted(clock: Clock) -> None:
    counter = ProgressCounter(clock=clock, jobs=1)
    counter.on_event(Waiting(reason="capacity", seconds=5.0))
    assert "waiting up to 5 s: the account admits no more jobs for now" in drawn(counter)
    counter.on_event(Submitted(task_id=ONE, endpoint=ENDPOINT))
    assert "waiting" not in drawn(counter)


async def test_without_a_terminal_a_line_is_logged_every_few_seconds_if_it_has_changed() -> None:
    console, counter = plain(), ProgressCounter(clock=anyio.current_time, jobs=2)
    async with show_phases(console, counter.snapshot):
        await anyio.sleep(10.0)
        counter.on_event(Submitted(task_id=ONE, endpoint=ENDPOINT))
        await anyio.sleep(10.0)
    assert printed(console).splitlines() == [
        "  3.0 s  upload 0 · submit 0/2 · running 0/2 · download 0/2",
        " 12.0 s  upload 0 · submit 1/2 · running 0/2 1 now · download 0/2",
    ]


async def test_the_last_state_is_shown_also_when_the_body_raises() -> None:
    console, counter = terminal(80), ProgressCounter(clock=anyio.current_time, jobs=2)
    with pytest.raises(JobFailed):
        async with show_phases(console, counter.snapshot):
            raise JobFailed("the body's own error")
    assert "submit" in printed(console)
