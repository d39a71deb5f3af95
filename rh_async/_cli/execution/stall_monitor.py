"""Silence, told apart from work: whoever waits for the network is told so, once per silence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from attrs import define, field
from rich.console import Console
from rich.text import Text

from rh_async._cli.output.job_view import run_periodically

from .clock import now


@define(kw_only=True, eq=False)
class StallMonitor:
    """Says once that nothing is heard, and again only after something was.

    :param words: what to say.
    :param after: seconds of silence that are worth a word.
    :param back: what to say, with how long it was, once a silence that was told of has ended; nothing by default.
    :param say: where to say it; by default on the console.
    """

    console: Console
    words: str
    after: float
    back: str = ""
    say: Callable[[str], object] = field()
    clock: Callable[[], float] = field(default=now)
    _since: float | None = field(default=None, init=False)
    _told: bool = field(default=False, init=False)

    @say.default
    def _on_console(self) -> Callable[[str], object]:
        return lambda words: self.console.print(Text(words, style="yellow"), soft_wrap=True)

    @property
    def silence(self) -> float:
        """For how many seconds nothing was heard, if that was told; else 0."""
        return self._lasted() if self._told else 0.0

    def expect(self) -> None:
        """Something was asked: an answer is expected, if none was before."""
        if self._since is None:
            self._since = self.clock()

    def hear(self) -> None:
        """Something happened, and more is expected."""
        self.rest()
        self._since = self.clock()

    def rest(self) -> None:
        """Nothing is expected for now."""
        lasted, self._since, self._told = self.silence, None, False
        if lasted and self.back:
            self.say(f"{self.back} after {lasted:.0f} s")

    def look(self) -> None:
        """Say it, if it is time."""
        if not self._told and self._lasted() >= self.after:
            self._told = True
            self.say(self.words)

    def _lasted(self) -> float:
        return 0.0 if self._since is None else self.clock() - self._since


@asynccontextmanager
async def listening(stall_monitor: StallMonitor) -> AsyncIterator[None]:
    """Mind the silence while the body runs."""
    stall_monitor.hear()
    async with run_periodically(0.5, stall_monitor.look):
        yield
