"""How far many jobs have come, told by the session's events: counts and bytes of four phases. No output, no clock."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from attrs import define, field

from rh_async.events import (
    Changed,
    Downloading,
    Event,
    Flawed,
    Saved,
    Settled,
    Submitted,
    Uploaded,
    Uploading,
    Waiting,
    Warned,
)


@define(kw_only=True, eq=False)
class Phase:
    """One phase of all jobs together.

    :param wanted: how many will pass it; None while nobody knows.
    :param done: how many have.  :param bytes: that have moved.
    :param since: when its first event came, None before that.  :param last: when its latest did.
    """

    name: str
    wanted: int | None = None
    done: int = 0
    bytes: int = 0
    since: float | None = None
    last: float = 0.0
    _parts: dict[Hashable, int] = field(factory=dict, init=False)

    @property
    def finished(self) -> bool:
        """Whether all have passed it."""
        return self.wanted is not None and self.done >= self.wanted

    def touch(self, now: float) -> None:
        """Note that something happened."""
        self.since = now if self.since is None else self.since
        self.last = now

    def moved(self, part: Hashable, size: int, now: float) -> None:
        """Note how much of one file has moved so far; a repeated attempt begins at the front again."""
        self.touch(now)
        self.bytes += size - self._parts.get(part, 0)
        self._parts[part] = size

    def passed(self, now: float, part: Hashable = None) -> None:
        """Note that one more has passed; its bytes need not be told apart any longer."""
        self.touch(now)
        self.done += 1
        self._parts.pop(part, None)

    def elapsed(self, now: float) -> float:
        """Return the seconds since its first event, up to its last once it has finished."""
        return 0.0 if self.since is None else (self.last if self.finished else now) - self.since

    def rate(self, amount: int, now: float) -> float | None:
        """Return how much of an amount came per second, None before a moment has passed."""
        elapsed = self.elapsed(now)
        return amount / elapsed if elapsed > 0 and amount else None

    def left(self, now: float, *, begun: int = 0) -> float | None:
        """Estimate the seconds until all have passed; None while nobody can.

        :param begun: how many are in the middle of it, half done as far as anyone knows.
        """
        done = self.done + begun / 2
        if self.wanted is None or not done:
            return None
        return max(0.0, self.wanted - done) * self.elapsed(now) / done


@define(kw_only=True)
class Tally:
    """Four phases, kept by listening: give `tell` to a session as ``on_event``.

    :param clock: tells the time.
    :param jobs: how many there will be, None while nobody knows.
    :param files: how many distinct files they send, likewise.
    """

    clock: Callable[[], float]
    jobs: int | None = None
    files: int | None = None
    failed: int = field(default=0, init=False)
    waiting: Waiting | None = field(default=None, init=False)
    upload: Phase = field(init=False)
    submit: Phase = field(init=False)
    running: Phase = field(init=False)
    download: Phase = field(init=False)
    _handlers: dict[type[Event], Callable[..., None]] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.upload = Phase(name="upload", wanted=self.files)
        self.submit = Phase(name="submit", wanted=self.jobs)
        self.running = Phase(name="running", wanted=self.jobs)
        self.download = Phase(name="download", wanted=self.jobs)
        self._handlers = {
            Uploading: lambda event: self.upload.moved(event.path, event.bytes, self.clock()),
            Uploaded: lambda event: self.upload.passed(self.clock(), event.path),
            Submitted: self._submitted,
            Flawed: lambda _: self.running.touch(self.clock()),
            Changed: lambda _: self.running.touch(self.clock()),
            Settled: self._settled,
            Downloading: lambda event: self.download.moved(event.task_id, event.bytes, self.clock()),
            Saved: lambda event: self.download.passed(self.clock(), event.task_id),
            Waiting: self._waiting,
            Warned: lambda _: None,
        }

    @property
    def phases(self) -> tuple[Phase, ...]:
        """In the order a job goes through them."""
        return self.upload, self.submit, self.running, self.download

    @property
    def in_flight(self) -> int:
        """How many jobs the server has accepted and not settled."""
        return self.submit.done - self.running.done

    def left(self, phase: Phase, now: float) -> float | None:
        """Estimate the seconds until all have passed a phase; what is saved waits for what runs.

        None before the first has settled: how long a job takes is anybody's guess.
        """
        if phase in {self.upload, self.submit} or self.running.finished:
            return phase.left(now)
        return self.running.left(now, begun=self.in_flight) if self.running.done else None

    def tell(self, event: Event) -> None:
        """Take an event in."""
        self._handlers[type(event)](event)

    def _submitted(self, _: Submitted) -> None:
        self.waiting = None
        self.submit.passed(self.clock())
        self.running.touch(self.clock())

    def _settled(self, event: Settled) -> None:
        """A job that ended without a result will pass no later phase."""
        if event.task_id is not None:
            self.running.passed(self.clock())
        ahead = (self.download,) if event.task_id is not None else (self.submit, self.running, self.download)
        if event.result is None:
            self.failed += 1
            for phase in ahead:
                phase.wanted = None if phase.wanted is None else phase.wanted - 1

    def _waiting(self, event: Waiting) -> None:
        self.waiting = event
