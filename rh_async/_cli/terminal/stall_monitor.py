"""Warns once when the network is idle while a response is due: a stall looks like work otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from attrs import define, field
from rich.console import Console
from rich.text import Text

from rh_async._http.transport import TraceConfig

from .timing import now, run_periodically

_CHECK_INTERVAL = 0.5


@define(kw_only=True, eq=False)
class StallMonitor:
    """Prints one warning per stall: when a response is due and nothing has come for some time.

    :param message: the warning.
    :param after: seconds of idle time that make a stall.
    :param recovered: printed, with the length of the stall, once a stall that was warned of has ended; "" for nothing.
    :param report: takes the lines; by default they are printed on the console.
    """

    console: Console
    message: str
    after: float
    recovered: str = ""
    report: Callable[[str], object] = field()
    clock: Callable[[], float] = field(default=now)
    _idle_since: float | None = field(default=None, init=False)
    _warned: bool = field(default=False, init=False)

    @report.default
    def _print(self) -> Callable[[str], object]:
        return lambda line: self.console.print(Text(line, style="yellow"), soft_wrap=True)

    @property
    def idle_time(self) -> float:
        """Return the seconds of the present stall, if it was warned of; else 0."""
        return self._idle() if self._warned else 0.0

    def arm(self) -> None:
        """Note that a request was sent: a response is due from now on, if none was due before."""
        if self._idle_since is None:
            self._idle_since = self.clock()

    def record_activity(self) -> None:
        """Note that data moved, and that more is due."""
        self.pause()
        self._idle_since = self.clock()

    def pause(self) -> None:
        """Note that nothing is due for now, and report the end of a stall that was warned of."""
        lasted, self._idle_since, self._warned = self.idle_time, None, False
        if lasted and self.recovered:
            self.report(f"{self.recovered} after {lasted:.0f} s")

    def check(self) -> None:
        """Warn of a stall, once."""
        if not self._warned and self._idle() >= self.after:
            self._warned = True
            self.report(self.message)

    def _idle(self) -> float:
        return 0.0 if self._idle_since is None else self.clock() - self._idle_since


@asynccontextmanager
async def watch_for_stalls(monitor: StallMonitor) -> AsyncIterator[None]:
    """Check for stalls while the body runs; a response is due from the start."""
    monitor.record_activity()
    async with run_periodically(_CHECK_INTERVAL, monitor.check):
        yield


def request_tracing(monitor: StallMonitor) -> TraceConfig:
    """Make client trace hooks that report the start and the end of every request to a stall monitor.

    A session's events do not do for a batch: jobs that only run emit none, and their idle time is no stall.
    """

    async def request_started(*_: object) -> None:
        monitor.arm()

    async def request_ended(*_: object) -> None:
        monitor.pause()

    trace = TraceConfig()
    trace.on_request_start.append(request_started)
    trace.on_request_end.append(request_ended)
    return trace
