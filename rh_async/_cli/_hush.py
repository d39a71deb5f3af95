"""Silence, told apart from work: whoever waits for the network is told so, once per silence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from attrs import define, field
from rich.console import Console
from rich.text import Text

from ._progress import every


@define(kw_only=True, eq=False)
class Hush:
    """Says once that nothing is heard, and again only after something was.

    :param words: what to say.
    :param after: seconds of silence that are worth a word.
    """

    console: Console
    words: str
    after: float
    clock: Callable[[], float] = field(default=anyio.current_time)
    _since: float | None = field(default=None, init=False)

    def hear(self) -> None:
        """Something happened, and more is expected."""
        self._since = self.clock()

    def rest(self) -> None:
        """Nothing is expected for now."""
        self._since = None

    def look(self) -> None:
        """Say it, if it is time."""
        if self._since is not None and self.clock() - self._since >= self.after:
            self.rest()
            self.console.print(Text(self.words, style="yellow"), soft_wrap=True)


@asynccontextmanager
async def listening(hush: Hush) -> AsyncIterator[None]:
    """Mind the silence while the body runs."""
    hush.hear()
    async with every(0.5, hush.look):
        yield
