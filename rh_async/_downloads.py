"""Outputs to files: streamed to ``.part``, checked, fsynced, renamed. Names come from the task, never from a URL.

A download is retried apart from its job: nothing here is paid again. A link that has expired is asked for anew.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import uuid4

import anyio
from attrs import define, field, frozen

from ._files import opened
from ._protocol import download_refusal
from ._transport import Download, Transport
from ._types import Output, Result, TaskId
from .errors import NoAnswer, NotFound, RHError, SaveError
from .events import Downloading, Event, Saved

log = logging.getLogger(__name__)

T = TypeVar("T")

_AT_ONCE = 8
_COALESCED = 1024 * 1024  # one write per MiB moved 687 MB/s, one per arrival 455
_FRESH_LINKS = 3
_UNSAFE = re.compile(r"[^0-9A-Za-z]+")


Naming = Callable[[TaskId, int, Output], str]
"""Names one output of a task, by its place among them."""


class _Sink(Protocol):
    async def write(self, data: bytes, /) -> object: ...


@frozen
class _Wish:
    """One output, its kind, and where it shall lie."""

    task_id: TaskId
    index: int
    kind: str
    target: Path


@define(eq=False, kw_only=True, repr=False)
class Downloads:
    """The saving side of one session.

    :param fresh: asks the server for a job's outputs again, with links that live.
    :param tell: takes events.
    :param session_id: in the names of ``.part`` files, so that it is known whose they are.
    """

    transport: Transport
    fresh: Callable[[TaskId], Awaitable[tuple[Output, ...]]]
    tell: Callable[[Event], None]
    _lanes: anyio.CapacityLimiter = field(factory=lambda: anyio.CapacityLimiter(_AT_ONCE), init=False)
    session_id: str = field(factory=lambda: uuid4().hex[:12])
    _parts: count[int] = field(factory=count, init=False)

    async def save(
        self, result: Result, folder: Path, *, overwrite: bool, name: Naming | None = None
    ) -> tuple[Path, ...]:
        """Bring every output to disk, in order.

        :param name: names each; by default task and place do.
        :param overwrite: whether a file that is there already is fetched again; a file only ever appears whole.
        :raises SaveError: the disk refused.
        :raises RHError: an output could not be fetched.
        """
        await _on_disk(folder, result.task_id, lambda: folder.mkdir(parents=True, exist_ok=True))
        paths = []
        for index, output in enumerate(result.outputs):
            target = folder / (name or _name)(result.task_id, index, output)
            wish = _Wish(result.task_id, index, output.type, target)
            if overwrite or not await _on_disk(wish.target, wish.task_id, wish.target.exists):
                await self._bring(wish, output)
            paths.append(wish.target)
        self.tell(Saved(task_id=result.task_id, paths=tuple(paths)))
        return tuple(paths)

    async def _bring(self, wish: _Wish, output: Output) -> None:
        part = wish.target.with_name(f".{wish.target.name}.{self.session_id}-{next(self._parts)}.part")
        async with self._lanes:
            try:
                await self._fill(wish, output, part)
                await _on_disk(wish.target, wish.task_id, lambda: part.replace(wish.target))
            finally:
                with anyio.CancelScope(shield=True):  # a cancelled save leaves no litter
                    await asyncio.to_thread(_remove, part)

    async def _fill(self, wish: _Wish, output: Output, part: Path) -> None:
        if output.url is None:
            await _write(part, wish.task_id, (output.text or "").encode(errors="replace"))
            return
        url = output.url
        for _ in range(_FRESH_LINKS):
            try:
                await self._streamed(wish, url, part)
            except NotFound:
                url = await self._fresh_link(wish)
            else:
                return
        await self._streamed(wish, url, part)

    async def _streamed(self, wish: _Wish, url: str, part: Path) -> None:
        try:
            await self.transport.persist(partial(self._stream, wish, url, part))
        except RHError as error:
            error.task_id = wish.task_id
            raise

    async def _fresh_link(self, wish: _Wish) -> str:
        outputs = await self.fresh(wish.task_id)
        if wish.index >= len(outputs) or not (url := outputs[wish.index].url):
            raise NotFound("the server no longer has this output", phase="download", task_id=wish.task_id)
        return url

    async def _stream(self, wish: _Wish, url: str, part: Path) -> None:
        async with self.transport.fetch(url) as download:
            if refusal := download_refusal(download.status, download.content_type, wish.kind):
                raise refusal
            try:
                async with opened(part, "wb") as sink:
                    size = await self._pour(wish, download, sink)
                    await sink.flush()
                    await asyncio.to_thread(os.fsync, sink.fileno())
            except NoAnswer:
                raise
            except OSError as error:
                raise _save_error(wish.target, error, wish.task_id) from error
        if not size or size != (download.length or size):
            raise NoAnswer(f"download: {size} of {download.length} bytes came", phase="download", task_id=wish.task_id)

    async def _pour(self, wish: _Wish, download: Download, sink: _Sink) -> int:
        size, waiting = 0, bytearray()
        while chunk := await download.read():
            waiting += chunk
            if len(waiting) >= _COALESCED:
                size += len(waiting)
                await sink.write(bytes(waiting))
                waiting.clear()
                self.tell(Downloading(task_id=wish.task_id, bytes=size, total=download.length))
        await sink.write(bytes(waiting))
        size += len(waiting)
        self.tell(Downloading(task_id=wish.task_id, bytes=size, total=download.length))
        return size


def _name(task_id: TaskId, index: int, output: Output) -> str:
    kind = _UNSAFE.sub("", output.type)[:8] or ("bin" if output.url else "txt")
    return f"{_UNSAFE.sub('-', task_id)}_{index}.{kind}"


async def _write(part: Path, task_id: TaskId, data: bytes) -> None:
    def write() -> None:
        with part.open("wb") as sink:
            sink.write(data)
            sink.flush()
            os.fsync(sink.fileno())

    await _on_disk(part, task_id, write)


def _remove(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError as error:
        log.warning("rh_async.part_left %s: %s", part, error)


async def _on_disk(path: Path, task_id: TaskId, act: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(act)
    except OSError as error:
        raise _save_error(path, error, task_id) from error


def _save_error(path: Path, error: OSError, task_id: TaskId) -> SaveError:
    return SaveError(f"{path} cannot be written: {error.strerror or error}", phase="download", task_id=task_id)
