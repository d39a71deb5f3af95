"""Reads one attempt at an output: no slower than is worth a lane, no larger than may be, uncompressed.

A piece of a download is looked at here before anything is written; what is written, and where, `_downloads` decides.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import anyio
from attrs import define, field, frozen

from rh_async._http.link_client import Download, Inflated
from rh_async._media.file_extension import BINARY, decided, is_page, stated
from rh_async.errors import InvalidResponse, OutputRefused, ResponseLost
from rh_async.types import Output, TaskId

from .download_policy import DownloadPolicy

_HEAD = 512  # bytes that tell a page from a medium
_INFLATED = frozenset({"gzip", "x-gzip", "deflate"})
_SLOW = "It is tried again later; DownloadPolicy(min_rate=...) bears slower servers."

Naming = Callable[[TaskId, int, str], str]
"""Names one output of a task, by its place among them and its extension."""


class Source(Protocol):
    async def read(self) -> bytes: ...


@frozen
class Wanted:
    """One output, and where it shall lie."""

    task_id: TaskId
    index: int
    output: Output
    folder: Path
    name: Naming

    def target(self, kind: str | None = None) -> Path:
        """Where it lies as a file of a kind; of the likeliest, if none is given."""
        return self.folder / self.name(self.task_id, self.index, kind or stated(self.output) or "bin")

    @property
    def expected(self) -> str:
        """What the server calls it, as far as it says anything."""
        return stated(self.output) or self.output.type


@define
class Demand:
    """What the attempts at one output are held to.

    :ivar rate: how fast the next must be: a slow line gets its file in the end.
    :ivar queued: how many seconds they have waited for a lane, all together.
    """

    rate: float
    queued: float = 0.0


@define(eq=False)
class Arrival:
    """The bytes of one attempt as they come.

    :param demand: how fast they have to.

    :ivar size: how many there are.
    :ivar head: the first of them, not yet written.
    """

    wish: Wanted
    download: Download
    source: Source
    policy: DownloadPolicy
    demand: Demand
    head: bytearray = field(factory=bytearray, init=False)
    size: int = field(default=0, init=False)
    _waited: float = field(default=0.0, init=False)
    _last: int = field(default=0, init=False)

    async def begin(self) -> None:
        """Read enough to tell what it is.

        :raises OutputRefused: there are more than may be.
        """
        if (length := self.download.length) is not None and length > self.policy.max_bytes:
            raise too_large(self.wish, f"{length:,}")
        while len(self.head) < _HEAD and (chunk := await self.read()):
            self.head += chunk

    def kind(self) -> str:
        """Its extension.

        :raises InvalidResponse: a page came in the place of a medium, a portal's or a gateway's.
        """
        head = bytes(self.head)
        kind = decided(self.wish.output, self.download.content_type, head)
        if kind in BINARY and is_page(head):
            raise InvalidResponse(f"the link answered a page in place of {kind}", body=head, phase="download")
        return kind

    async def read(self) -> bytes:
        """The next bytes; none at the end.

        :raises ResponseLost: the connection broke, or brings too little.
        :raises OutputRefused: there are more than may be.
        """
        began = anyio.current_time()
        chunk = await self.source.read()
        # Only the waiting for the network counts: a slow disk is not the server's fault.
        self._waited += anyio.current_time() - began
        self.size += len(chunk)
        if self.size > self.policy.max_bytes:
            raise too_large(self.wish, f"more than {self.policy.max_bytes:,}")
        if self._waited >= self.policy.rate_window:
            self._check_rate()
        return chunk

    def _check_rate(self) -> None:
        rate = (self.size - self._last) / self._waited
        if rate < self.demand.rate:
            self.demand.rate /= 2
            words = f"download: {rate:,.0f} bytes a second came, which is too slow: given up for now"
            raise ResponseLost(words, phase="download", advice=_SLOW)
        self._waited, self._last = 0.0, self.size


def source_of(wish: Wanted, download: Download) -> Source:
    """What to read: the bytes as they come, or, of a text that was compressed unasked, what they were.

    :raises OutputRefused: a medium is compressed: that saves nothing, and what comes may be a thousand times its size.
    """
    if not download.encoding:
        return download
    if download.encoding in _INFLATED and decided(wish.output, download.content_type, b"") not in {*BINARY, "bin"}:
        return Inflated(download)
    words = f"{wish.target().name} comes compressed ({download.encoding:.20}), which was not asked for"
    raise OutputRefused(words, phase="download")


def too_large(wish: Wanted, size: str) -> OutputRefused:
    words = f"{wish.target().name} has {size} bytes; DownloadPolicy(max_bytes=...) takes less"
    return OutputRefused(words, phase="download", task_id=wish.task_id)
