"""Counts what a session's events say of its jobs: four phases, what holds the session back, and what goes wrong. Pure.

A batch and a single job are counted alike: each registers `ProgressCounter.on_event`, and shows `snapshot`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable

from attrs import define, evolve, field

from rh_async.errors import JobError, RHError
from rh_async.events import Changed, Downloading, Event, Flawed, Saved, Settled, Submitted, Uploaded, Uploading, Waiting

from .progress_snapshot import BatchProgress, ErrorGroup, PhaseProgress

_MOST_GROUPS = 8
_LONGEST_EXAMPLE = 300
_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])")


@define(kw_only=True, eq=False)
class _Phase:
    """One phase of all jobs together.

    :param total: how many jobs or files will pass the phase; None while that is unknown.
    :param done: how many have passed it.
    :ivar bytes: what has arrived, each file counted once.
    :ivar moved: what was sent or received, repeated attempts included.
    :ivar since: when the first event came; None before that.  :ivar last: when the latest event came.
    """

    name: str
    total: int | None = None
    done: int = 0
    bytes: int = field(default=0, init=False)
    moved: int = field(default=0, init=False)
    since: float | None = field(default=None, init=False)
    last: float = field(default=0.0, init=False)
    _files: dict[Hashable, int] = field(factory=dict, init=False)  #: bytes of each file under way

    def touch(self, now: float) -> None:
        """Note the time of an event."""
        self.since = now if self.since is None else self.since
        self.last = now

    def move(self, file: Hashable, size: int, now: float) -> None:
        """Note how much of a file has moved so far; a repeated attempt starts again from its first byte."""
        self.touch(now)
        before = self._files.get(file, 0)
        self.bytes += size - before
        self.moved += size - before if size >= before else size
        self._files[file] = size

    def count(self, now: float, file: Hashable = None) -> None:
        """Count one job or file that has passed the phase, and forget how far its file was."""
        self.touch(now)
        self.done += 1
        self._files.pop(file, None)

    def drop(self) -> None:
        """Take a job that failed earlier out of the total: it will never reach this phase."""
        self.total = None if self.total is None else self.total - 1

    def snapshot(self, now: float, *, under_way: int | None = 0) -> PhaseProgress:
        """Return the phase as a value.

        :param under_way: how many jobs are inside the phase; None where no estimate of the time left is possible.
        """
        finished = self.total is not None and self.done >= self.total
        elapsed = 0.0 if self.since is None else (self.last if finished else now) - self.since
        return PhaseProgress(
            name=self.name,
            total=self.total,
            done=self.done,
            bytes=self.bytes,
            elapsed=elapsed,
            time_left=None if under_way is None else self._time_left(elapsed, under_way),
        )

    def _time_left(self, elapsed: float, under_way: int) -> float | None:
        done = self.done + under_way / 2  # a job inside the phase is half done, as far as its events tell
        if self.total is None or not done:
            return None
        return max(0.0, self.total - done) * elapsed / done


@define(kw_only=True, eq=False)
class ProgressCounter:
    """Counts the jobs of one session from its events.

    :param clock: returns the time in seconds.
    :param jobs: how many jobs there will be; None while that is unknown.
    :param files: how many distinct files the jobs upload, likewise.
    :param submitted: how many of the jobs an earlier session had submitted already.
    :param settled: how many of these had ended already.
    """

    clock: Callable[[], float]
    jobs: int | None = None
    files: int | None = None
    submitted: int = 0
    settled: int = 0
    _failed: int = field(default=0, init=False)
    _waiting_for: Waiting | None = field(default=None, init=False)
    _upload: _Phase = field(init=False)
    _submit: _Phase = field(init=False)
    _running: _Phase = field(init=False)
    _download: _Phase = field(init=False)
    _errors: dict[str, ErrorGroup] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._upload = _Phase(name="upload", total=self.files)
        self._submit = _Phase(name="submit", total=self.jobs, done=self.submitted)
        self._running = _Phase(name="running", total=self.jobs, done=self.settled)
        self._download = _Phase(name="download", total=self.jobs)

    def on_event(self, event: Event) -> None:
        """Count one event of the session."""
        now = self.clock()
        match event:
            case Uploading():
                self._upload.move(event.path, event.bytes, now)
            case Uploaded():
                self._upload.count(now, event.path)
            case Submitted():
                self._waiting_for = None
                self._submit.count(now)
                self._running.touch(now)
            case Flawed() | Changed():
                self._running.touch(now)
            case Settled():
                self._settle(event, now)
            case _:
                self._count_saving(event, now)

    def _count_saving(self, event: Event, now: float) -> None:
        """Count what comes after a job's end, and what holds the session back."""
        match event:
            case Downloading():
                self._download.move(event.task_id, event.bytes, now)
            case Saved():
                self._download.count(now, event.task_id)
            case Waiting():
                self._waiting_for = event
            case _:
                pass

    def _settle(self, event: Settled, now: float) -> None:
        """Count a job that ended; one without a result is taken out of the phases it will not reach."""
        if event.task_id is not None:
            self._running.count(now)
        if event.result is not None:
            return
        self._failed += 1
        never_accepted = (self._submit, self._running) if event.task_id is None else ()
        for phase in (*never_accepted, self._download):
            phase.drop()

    def all_uploaded(self) -> None:
        """Expect no further upload: the server has the remaining files from an earlier session."""
        self._upload.total = self._upload.done

    def leave_out(self, *, settled: bool) -> None:
        """Take a job of an earlier session out of the counts: this session does not watch it.

        :param settled: whether the job was counted as settled.
        """
        self._submit.done -= 1
        self._running.done -= settled
        for phase in (self._submit, self._running, self._download):
            phase.drop()

    def note_error(self, error: RHError) -> None:
        """Count an error by its kind, so that a thousand alike are one line; also one that a retry overcame."""
        kind = _error_kind(error)
        count = self._errors[kind].count if kind in self._errors else 0
        self._errors[kind] = ErrorGroup(kind=kind, count=count + 1, example=error.message[:_LONGEST_EXAMPLE])

    def snapshot(self) -> BatchProgress:
        """Return the progress as a value; cheap."""
        in_flight = self._submit.done - self._running.done
        planned = self._submit.done if self.jobs is None else self.jobs
        ended = self._failed + self._download.done
        return BatchProgress(
            planned=planned,
            waiting=max(0, planned - in_flight - ended),
            in_flight=in_flight,
            saved=self._download.done,
            failed=self._failed,
            uploaded_bytes=self._upload.moved,
            downloaded_bytes=self._download.moved,
            errors=tuple(sorted(self._errors.values(), key=lambda group: -group.count)[:_MOST_GROUPS]),
            phases=self._phases(in_flight),
            waiting_for=self._waiting_for,
        )

    def _phases(self, in_flight: int) -> tuple[PhaseProgress, ...]:
        now, running = self.clock(), self._running
        # Before the first job has settled its run time is unknown, and so is when the rest will have run.
        under_way = in_flight if running.done else None
        run = running.snapshot(now, under_way=under_way)
        download = self._download.snapshot(now)
        if not run.finished:  # outputs are saved as jobs end: the last one waits for the last job
            download = evolve(download, time_left=run.time_left)
        return self._upload.snapshot(now), self._submit.snapshot(now), run, download


def _error_kind(error: RHError) -> str:
    """Name the kind of an error in a few words; the server's code distinguishes kinds within a class."""
    busy = isinstance(error, JobError) and error.may_resubmit
    words = "server busy" if busy else _WORD_START.sub(" ", type(error).__name__).lower()
    return f"{words} ({error.code})" if error.code else words
