"""Reads one attempt at an output: not too slow, not too large, and not compressed.

Each piece of a download is checked here before anything is written; `part_file` writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import anyio
from attrs import define, field, frozen

from rh_async._http.link_client import Download
from rh_async._media.file_extension import BINARY, choose_extension, is_page, stated_extension
from rh_async.errors import InvalidResponse, OutputRefused, ResponseLost
from rh_async.types import Output, TaskId

from .decompression import DecompressedSource
from .download_policy import DownloadPolicy

_HEAD = 512  # bytes that tell a page from media
_DECOMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
_SLOW = "It is tried again later; DownloadPolicy(min_rate=...) tolerates slower servers."

Naming = Callable[[TaskId, int, str], str]
"""Names one output of a task, by its index among the outputs and its extension."""


class Source(Protocol):
    """What bytes are read from: a response, or a response that is decompressed."""

    async def read(self) -> bytes: ...


@frozen
class DownloadTarget:
    """One output, and where it is to be saved."""

    task_id: TaskId
    index: int
    output: Output
    folder: Path
    name: Naming

    def path(self, extension: str | None = None) -> Path:
        """Build the path of the output's file.

        :param extension: by default the likeliest, as far as it is known before the download.
        """
        extension = extension or stated_extension(self.output) or "bin"
        return self.folder / self.name(self.task_id, self.index, extension)

    @property
    def expected_kind(self) -> str:
        """What the server calls the output, as far as it says anything."""
        return stated_extension(self.output) or self.output.type


@define
class AttemptLimits:
    """What the attempts at one output are held to, and how long they have waited.

    :ivar min_rate: bytes per second of the next attempt; halved after each slow one, so that a slow line gets its file
        in the end.
    :ivar waited: seconds that all attempts together have waited for a download slot.
    """

    min_rate: float
    waited: float = 0.0


@define(eq=False)
class AttemptReader:
    """Reads the bytes of one attempt.

    :param source: where the bytes come from; not always the download itself.
    :ivar size: how many bytes have come.
    :ivar head: the first of them, not yet written.
    """

    target: DownloadTarget
    download: Download
    source: Source
    policy: DownloadPolicy
    limits: AttemptLimits
    head: bytearray = field(factory=bytearray, init=False)
    size: int = field(default=0, init=False)
    _reading: float = field(default=0.0, init=False)  #: seconds spent on the network since the rate was checked
    _checked_size: int = field(default=0, init=False)

    async def read_head(self) -> None:
        """Read enough to tell what the output is.

        :raises OutputRefused: it is larger than `DownloadPolicy` allows.
        """
        if (length := self.download.length) is not None and length > self.policy.max_bytes:
            raise _too_large(self.target, f"{length:,}")
        while len(self.head) < _HEAD and (chunk := await self.read()):
            self.head += chunk

    def extension(self) -> str:
        """Choose the extension of the output's file.

        :raises InvalidResponse: a page came in place of media: of a captive portal, or of a gateway.
        """
        head = bytes(self.head)
        extension = choose_extension(self.target.output, self.download.content_type, head)
        if extension in BINARY and is_page(head):
            message = f"the link answered a page in place of {extension}"
            raise InvalidResponse(message, body=head, phase="download")
        return extension

    async def read(self) -> bytes:
        """Return the next bytes; none at the end.

        :raises ResponseLost: the connection broke, or is too slow.
        :raises OutputRefused: more bytes came than `DownloadPolicy` allows.
        """
        began = anyio.current_time()
        chunk = await self.source.read()
        # Only the waiting for the network counts: a slow disk is not the server's fault.
        self._reading += anyio.current_time() - began
        self.size += len(chunk)
        if self.size > self.policy.max_bytes:
            raise _too_large(self.target, f"more than {self.policy.max_bytes:,}")
        if self._reading >= self.policy.rate_window:
            self._check_rate()
        return chunk

    def _check_rate(self) -> None:
        rate = (self.size - self._checked_size) / self._reading
        if rate < self.limits.min_rate:
            self.limits.min_rate /= 2
            message = f"download: {rate:,.0f} bytes a second came, which is too slow: given up for now"
            raise ResponseLost(message, phase="download", advice=_SLOW)
        self._reading, self._checked_size = 0.0, self.size


def choose_source(target: DownloadTarget, download: Download) -> Source:
    """Choose what to read: the bytes as they come, or, of a text that was compressed unasked, the decompressed ones.

    :raises OutputRefused: media come compressed: that saves nothing, and may grow to a thousand times its size.
    """
    if not download.encoding:
        return download
    extension = choose_extension(target.output, download.content_type, b"")
    if download.encoding in _DECOMPRESSED and extension not in {*BINARY, "bin"}:
        return DecompressedSource(download)
    message = f"{target.path().name} comes compressed ({download.encoding:.20}), which was not asked for"
    raise OutputRefused(message, phase="download")


def _too_large(target: DownloadTarget, size: str) -> OutputRefused:
    message = f"{target.path().name} has {size} bytes; DownloadPolicy(max_bytes=...) takes less"
    return OutputRefused(message, phase="download", task_id=target.task_id)
