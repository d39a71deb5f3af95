"""The progress of a session's jobs is what its events say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import define

from rh_async import Result, TaskId, Upload, Usage
from rh_async.batch import BatchProgress, ErrorGroup, PhaseProgress, ProgressCounter
from rh_async.errors import JobFailed, NotSent
from rh_async.events import Changed, Downloading, Event, Saved, Settled, Submitted, Uploaded, Uploading, Waiting
from rh_async.types import Snapshot

HERO = Path("hero.png")
ONE, TWO = TaskId("1"), TaskId("2")


@define
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def submitted(task_id: TaskId) -> Submitted:
    return Submitted(task_id=task_id, endpoint="bytedance/dreamactor-v2")


def succeeded(task_id: TaskId) -> Settled:
    return Settled(
        task_id=task_id, result=Result(task_id=task_id, outputs=(), usage=Usage(), noticed_utc=datetime.now(UTC))
    )


def uploading(size: int) -> Uploading:
    return Uploading(path=HERO, bytes=size, total=1000)


def after(counter: ProgressCounter, *events: Event) -> BatchProgress:
    for event in events:
        counter.on_event(event)
    return counter.snapshot()


def phase(progress: BatchProgress, name: str) -> PhaseProgress:
    return next(phase for phase in progress.phases if phase.name == name)


def test_a_repeated_upload_counts_once_as_arrived_and_twice_as_sent(clock: Clock) -> None:
    counter = ProgressCounter(clock=clock, files=1)
    progress = after(counter, *map(uploading, (600, 1000, 0, 1000)), Uploaded(path=HERO, upload=Upload()))
    upload = phase(progress, "upload")
    assert (upload.bytes, upload.done, upload.finished) == (1000, 1, True)
    assert progress.uploaded_bytes == 2000


def test_several_outputs_of_one_task_all_count_as_received(clock: Clock) -> None:
    sizes = 400, 800, 300, 500
    events = (Downloading(task_id=ONE, bytes=size, total=None) for size in sizes)
    assert after(ProgressCounter(clock=clock), *events).downloaded_bytes == 800 + 500


def test_a_job_in_flight_counts_half_in_the_estimate(clock: Clock) -> None:
    counter = ProgressCounter(clock=clock, jobs=4)
    after(counter, submitted(ONE), submitted(TWO))
    assert phase(counter.snapshot(), "running").time_left is None
    clock.now = 10.0
    assert after(counter, succeeded(ONE)).in_flight == 1
    clock.now = 12.0
    progress = counter.snapshot()
    assert phase(progress, "running").time_left == pytest.approx((4 - 1.5) * 12 / 1.5)
    assert phase(progress, "download").time_left == phase(progress, "running").time_left
    assert phase(progress, "submit").time_left == pytest.approx(12.0)


def test_without_a_known_number_of_jobs_there_is_no_end_to_estimate(clock: Clock) -> None:
    progress = after(ProgressCounter(clock=clock), submitted(ONE))
    submit = phase(progress, "submit")
    assert (submit.total, submit.done, submit.time_left, submit.finished) == (None, 1, None, False)
    assert progress.planned == 1


def test_a_failed_job_is_not_expected_in_later_phases(clock: Clock) -> None:
    counter = ProgressCounter(clock=clock, jobs=3)
    failed = Settled(task_id=ONE, error=JobFailed("failed"))
    progress = after(counter, Settled(task_id=None, error=NotSent("never sent")), submitted(ONE), failed)
    assert [phase.total for phase in progress.phases] == [None, 2, 2, 1]
    assert (progress.failed, progress.waiting, progress.in_flight) == (2, 1, 0)


def test_jobs_of_an_earlier_session_start_where_they_were(clock: Clock) -> None:
    counter = ProgressCounter(clock=clock, jobs=2, files=2, submitted=2, settled=1)
    counter.all_uploaded()
    progress = after(counter, Saved(task_id=TWO, paths=()))
    assert [(phase.done, phase.total) for phase in progress.phases] == [(0, 0), (2, 2), (1, 2), (1, 2)]
    assert (progress.saved, progress.in_flight, progress.waiting) == (1, 1, 0)


def test_a_job_that_another_process_watches_is_left_out_of_every_phase_it_was_counted_in(clock: Clock) -> None:
    counter = ProgressCounter(clock=clock, jobs=3, files=0, submitted=3, settled=1)
    counter.leave_out(settled=True)
    assert [(phase.done, phase.total) for phase in counter.snapshot().phases] == [(0, 0), (2, 2), (0, 2), (0, 2)]
    counter.leave_out(settled=False)
    assert [(phase.done, phase.total) for phase in counter.snapshot().phases] == [(0, 0), (1, 1), (0, 1), (0, 1)]


def test_a_rate_covers_the_time_from_the_first_event_of_a_phase_to_its_end(clock: Clock) -> None:
    counter = ProgressCounter(clock=clock, jobs=1)
    clock.now = 5.0
    after(counter, submitted(ONE), Changed(snapshot=Snapshot(task_id=ONE, status="RUNNING")), succeeded(ONE))
    after(counter, Downloading(task_id=ONE, bytes=0, total=None))
    clock.now = 7.0
    after(counter, Downloading(task_id=ONE, bytes=500, total=None), Saved(task_id=ONE, paths=()))
    clock.now = 99.0
    download = phase(counter.snapshot(), "download")
    assert (download.elapsed, download.rate(download.bytes), download.rate(0)) == (2.0, 250.0, None)


def test_what_holds_the_session_back_is_reported_until_the_next_job_is_accepted(clock: Clock) -> None:
    counter, held = ProgressCounter(clock=clock), Waiting(reason="capacity", seconds=5.0)
    assert after(counter, held).waiting_for == held
    assert after(counter, submitted(ONE)).waiting_for is None


def test_errors_of_a_kind_are_one_group_with_the_latest_as_its_example(clock: Clock) -> None:
    counter = ProgressCounter(clock=clock)
    for error in (NotSent("first"), JobFailed("bad", code="1501"), NotSent("second")):
        counter.note_error(error)
    assert counter.snapshot().errors == (
        ErrorGroup(kind="not sent", count=2, example="second"),
        ErrorGroup(kind="job failed (1501)", count=1, example="bad"),
    )
