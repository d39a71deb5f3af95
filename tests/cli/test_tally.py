"""The tally and its two faces: what the events say is what is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from attrs import define

from rh_async import JobFailed, Result, Snapshot, TaskId, Upload, Usage
from rh_async._cli.output.job_view import phase_table, show_phases
from rh_async._cli.output.phase_counter import Tally
from rh_async.events import Changed, Downloading, Saved, Settled, Submitted, Uploaded, Uploading, Waiting
from tests.cli.conftest import plain, terminal, told

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


def drawn(tally: Tally, width: int = 80) -> str:
    console = terminal(width)
    console.print(phase_table(tally, width))
    return told(console)


def test_a_repeated_upload_counts_its_bytes_once(clock: Clock) -> None:
    tally = Tally(clock=clock, files=1)
    for size in (600, 1000, 0, 1000):
        tally.tell(Uploading(path=HERO, bytes=size, total=1000))
    tally.tell(Uploaded(path=HERO, upload=Upload()))
    assert (tally.upload.bytes, tally.upload.done, tally.upload.finished) == (1000, 1, True)


def test_a_job_half_under_way_counts_half_in_the_estimate(clock: Clock) -> None:
    tally = Tally(clock=clock, jobs=4)
    for task in (ONE, TWO):
        tally.tell(Submitted(task_id=task, endpoint=ENDPOINT))
    clock.now = 10.0
    tally.tell(Settled(task_id=ONE, result=result(ONE)))
    assert tally.in_flight == 1
    assert tally.left(tally.running, 12.0) == pytest.approx((4 - 1.5) * 12 / 1.5)
    assert tally.left(tally.download, 12.0) == tally.left(tally.running, 12.0)
    assert tally.left(tally.submit, 12.0) == pytest.approx(12.0)


def test_nobody_estimates_before_anything_began_or_without_an_end(clock: Clock) -> None:
    assert Tally(clock=clock, jobs=4).left(Tally(clock=clock).running, 1.0) is None
    endless = Tally(clock=clock)
    endless.tell(Submitted(task_id=ONE, endpoint=ENDPOINT))
    assert endless.left(endless.submit, 1.0) is None
    assert not endless.submit.finished


def test_what_failed_is_not_waited_for(clock: Clock) -> None:
    tally = Tally(clock=clock, jobs=3)
    tally.tell(Settled(task_id=None, error=JobFailed("never sent")))
    tally.tell(Submitted(task_id=ONE, endpoint=ENDPOINT))
    tally.tell(Settled(task_id=ONE, error=JobFailed("failed")))
    assert [phase.wanted for phase in tally.phases] == [None, 2, 2, 1]
    assert tally.failed == 2
    endless = Tally(clock=clock)
    endless.tell(Settled(task_id=None, error=JobFailed("never sent")))
    assert endless.download.wanted is None


def test_a_terminal_shows_counts_bytes_rates_and_what_is_left(clock: Clock) -> None:
    tally = Tally(clock=clock, jobs=4, files=1)
    tally.tell(Uploading(path=HERO, bytes=0, total=2_000_000))
    clock.now = 1.0
    tally.tell(Uploading(path=HERO, bytes=2_000_000, total=2_000_000))
    tally.tell(Uploaded(path=HERO, upload=Upload()))
    for task in (ONE, TWO):
        tally.tell(Submitted(task_id=task, endpoint=ENDPOINT))
    tally.tell(Changed(snapshot=Snapshot(task_id=ONE, status="RUNNING")))
    clock.now = 61.0
    tally.tell(Settled(task_id=ONE, result=result(ONE)))
    tally.tell(Downloading(task_id=ONE, bytes=500_000, total=None))
    tally.tell(Saved(task_id=ONE, paths=()))
    clock.now = 63.0
    upload, submit, running, download = (line.split() for line in drawn(tally).splitlines())
    assert upload[2:] == ["1/1", "2.0", "MB", "2.0", "MB/s", "in", "0:01"]
    assert submit[2:] == ["2/4", "0.0/s", "1:02", "left"]
    assert running[2:] == ["1/4", "1", "now", "0.0/s", "1:43", "left"]
    assert download[2:] == ["1/4", "500.0", "kB", "250.0", "kB/s", "1:43", "left"]


def test_without_a_known_end_there_is_a_count_and_no_estimate(clock: Clock) -> None:
    tally = Tally(clock=clock)
    tally.tell(Submitted(task_id=ONE, endpoint=ENDPOINT))
    assert "left" not in drawn(tally)
    assert "/" not in drawn(tally)


def test_what_holds_everything_back_is_said_until_it_goes_on(clock: Clock) -> None:
    tally = Tally(clock=clock, jobs=1)
    tally.tell(Waiting(reason="capacity", seconds=5.0))
    assert "waiting up to 5 s: the account admits no more jobs for now" in drawn(tally)
    tally.tell(Submitted(task_id=ONE, endpoint=ENDPOINT))
    assert "waiting" not in drawn(tally)


async def test_elsewhere_a_line_is_written_every_few_seconds_and_none_twice() -> None:
    console, tally = plain(), Tally(clock=anyio.current_time, jobs=2)
    async with show_phases(console, tally):
        await anyio.sleep(10.0)
        tally.tell(Submitted(task_id=ONE, endpoint=ENDPOINT))
        await anyio.sleep(10.0)
    assert told(console).splitlines() == [
        "  3.0 s  upload 0 · submit 0/2 · running 0/2 · download 0/2",
        " 12.0 s  upload 0 · submit 1/2 · running 0/2 1 now · download 0/2",
    ]


async def test_a_failing_body_is_shown_to_the_end_and_fails_as_it_did() -> None:
    console, tally = terminal(80), Tally(clock=anyio.current_time, jobs=2)
    with pytest.raises(JobFailed):
        async with show_phases(console, tally):
            raise JobFailed("as it did")
    assert "submit" in told(console)
