"""Saves outputs to files: streamed to ``.part``, checked, fsynced, renamed. Names come from the task, never from a URL.

A download is retried apart from its job: nothing here is paid again. A link that has expired is asked for anew. Each
attempt takes a lane, and waits between attempts take none: a slow server holds up only its own outputs.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import uuid4

import anyio
from attrs import define, field, frozen

from rh_async._api.endpoints import download_error
from rh_async._http.link_client import Download
from rh_async._http.transport import Transport
from rh_async._journal.lease import mark_in_use
from rh_async._media.byte_source import Cut
from rh_async._media.file_extension import possible
from rh_async._media.file_io import in_thread, is_shortage, open_file, out_of_resources
from rh_async._media.file_structure import judge
from rh_async.errors import NotFound, ResponseLost, RHError, SaveError
from rh_async.events import Downloading, Event, Saved
from rh_async.types import Output, Result, TaskId

from .download_policy import DownloadPolicy
from .download_stream import Arrival, Demand, Naming, Wanted, source_of

log = logging.getLogger(__name__)

T = TypeVar("T")

_AT_ONCE = 8
_COALESCED = 1024 * 1024  # one write per MiB moved 687 MB/s, one per arrival 455
_FRESH_LINKS = 3
_ROOM_CHECKED = 64 * 1024 * 1024  # bytes between two looks at the free disk
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_LONGEST_ID = 64
_UNSAFE = re.compile(r"[^0-9A-Za-z]+")


class _Sink(Protocol):
    async def write(self, data: bytes, /) -> object: ...

    async def flush(self) -> object: ...

    def fileno(self) -> int: ...


@frozen
class _Kept:
    """An output on disk.

    :param proved: whether it is known to be whole.
    """

    path: Path
    proved: bool = True


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
    policy: DownloadPolicy = field(factory=DownloadPolicy)
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
        kept = []
        for index, output in enumerate(result.outputs):
            wish = Wanted(result.task_id, index, output, folder, name or _name)
            there = None if overwrite else await _on_disk(folder, result.task_id, partial(_there, wish))
            kept.append(_Kept(there) if there else await self._bring(wish))
        paths = tuple(one.path for one in kept)
        unproved = tuple(one.path for one in kept if not one.proved)
        self.tell(Saved(task_id=result.task_id, paths=paths, unproved=unproved))
        return paths

    async def _bring(self, wish: Wanted) -> _Kept:
        part = wish.folder / f".{wish.target().name}.{self.session_id}-{next(self._parts)}.part"
        try:
            kind, proved = await self._fill(wish, part)
            target = wish.target(kind)
            await _on_disk(target, wish.task_id, lambda: part.replace(target))
        finally:
            with anyio.CancelScope(shield=True):  # a cancelled save leaves no litter
                await _removed(part)
        if not proved:
            log.warning("rh_async.unproved %s: it came without a length, and may be cut", target)
        return _Kept(target, proved)

    async def _fill(self, wish: Wanted, part: Path) -> tuple[str, bool]:
        """Bring an output into its ``.part``; its kind, and whether it is known to be whole."""
        if wish.output.url is None:
            await _write(part, wish, (wish.output.text or "").encode(errors="replace"))
            return wish.expected, True
        url = wish.output.url
        for _ in range(_FRESH_LINKS):
            try:
                return await self._streamed(wish, url, part)
            except NotFound:
                url = await self._fresh_link(wish)
        return await self._streamed(wish, url, part)

    async def _streamed(self, wish: Wanted, url: str, part: Path) -> tuple[str, bool]:
        demand = Demand(self.policy.min_rate)
        try:
            attempt = partial(self._attempt, wish, url, part, demand)
            return await self.transport.with_retries(attempt, idle=lambda: demand.queued)
        except RHError as error:
            error.task_id = wish.task_id
            raise

    async def _fresh_link(self, wish: Wanted) -> str:
        outputs = await self.fresh(wish.task_id)
        if wish.index >= len(outputs) or not (url := outputs[wish.index].url):
            raise NotFound("the server no longer has this output", phase="download", task_id=wish.task_id)
        return url

    # --- one attempt -------------------------------------------------------------------------------------------------

    async def _attempt(self, wish: Wanted, url: str, part: Path, demand: Demand) -> tuple[str, bool]:
        began = anyio.current_time()
        try:
            async with self._lanes:
                demand.queued += anyio.current_time() - began
                async with self.transport.fetch(url) as download:
                    return await self._stream(wish, download, part, demand)
        except RHError:
            raise
        except (OSError, MemoryError, RuntimeError) as error:
            if is_shortage(error):
                raise out_of_resources(error, "download") from error
            raise

    async def _stream(self, wish: Wanted, download: Download, part: Path, demand: Demand) -> tuple[str, bool]:
        if refusal := download_error(download.status, download.content_type, wish.expected):
            raise refusal
        source = source_of(wish, download)
        arrival = Arrival(wish, download, source, self.policy, demand)
        await arrival.begin()
        kind = arrival.kind()
        await self._written(wish, arrival, part)
        if not arrival.size or arrival.size != (download.length or arrival.size):
            raise ResponseLost(f"download: {arrival.size} of {download.length} bytes came", phase="download")
        if download.length is not None:
            return kind, True
        # The structure is looked at though the end was marked: a gateway marks an end of what it got only half of, too.
        return kind, await self._whole(part) or download.ended or source is not download

    async def _written(self, wish: Wanted, arrival: Arrival, part: Path) -> None:
        try:
            await self._check_room(wish, arrival)
            async with open_file(part, "wb") as sink:
                mark_in_use(sink.fileno())  # so that nobody takes it for what a killed command left
                await self._pour(wish, arrival, sink)
                await sink.flush()
                await asyncio.to_thread(os.fsync, sink.fileno())
        except RHError:
            raise
        except OSError as error:
            if is_shortage(error):
                raise
            raise _save_error(wish.target(), error, wish.task_id, arrival) from error

    async def _pour(self, wish: Wanted, arrival: Arrival, sink: _Sink) -> None:
        waiting, checked = arrival.head, 0
        while chunk := await arrival.read():
            waiting += chunk
            if len(waiting) >= _COALESCED:
                await sink.write(bytes(waiting))
                waiting.clear()
                self._told(wish, arrival)
            if arrival.size - checked >= _ROOM_CHECKED:
                checked = arrival.size
                await self._check_room(wish, arrival)
        await sink.write(bytes(waiting))
        self._told(wish, arrival)

    def _told(self, wish: Wanted, arrival: Arrival) -> None:
        self.tell(Downloading(task_id=wish.task_id, bytes=arrival.size, total=arrival.download.length))

    async def _check_room(self, wish: Wanted, arrival: Arrival) -> None:
        """Look whether the rest fits.

        :raises SaveError: it does not.
        """
        length = arrival.download.length
        if length is None:
            return
        free = await asyncio.to_thread(_free, wish.folder)
        missing = length - arrival.size + len(arrival.head) - (length if free is None else free)
        if missing > 0:
            why = f"the disk is full, {missing:,} bytes are missing"
            raise SaveError(f"{wish.target()} cannot be written: {why}", why=why, phase="download")

    async def _whole(self, part: Path) -> bool:
        """Judge a file by its structure, as it came without a length; whether that proves it to be whole.

        :raises ResponseLost: it is cut.
        """

        def look() -> bool:
            with part.open("rb") as file:
                return judge(file, os.fstat(file.fileno()).st_size) == "whole"

        try:
            return await asyncio.to_thread(look)
        except Cut as error:
            raise ResponseLost(f"download: the file is cut: {error}", phase="download") from error


def _there(wish: Wanted) -> Path | None:
    """The output, if it is there already. Blocks: call it off the loop."""
    targets = (wish.target(kind) for kind in possible(wish.output))
    return next((target for target in targets if target.exists()), None)


def _name(task_id: TaskId, index: int, kind: str) -> str:
    return f"{_UNSAFE.sub('-', task_id)[:_LONGEST_ID]}_{index}.{kind}"


async def _write(part: Path, wish: Wanted, data: bytes) -> None:
    def write() -> None:
        with part.open("wb") as sink:
            sink.write(data)
            sink.flush()
            os.fsync(sink.fileno())

    await _on_disk(wish.target(), wish.task_id, write)


async def _removed(part: Path) -> None:
    try:
        await in_thread(partial(part.unlink, missing_ok=True))
    except (OSError, RHError) as error:
        log.warning("rh_async.part_left %s: %s", part, error)


def _free(folder: Path) -> int | None:
    """How many bytes the disk has left; None where it does not say."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return usage.free if usage.total else None


async def _on_disk(path: Path, task_id: TaskId, act: Callable[[], T]) -> T:
    try:
        return await in_thread(act)
    except RHError as error:
        error.task_id = task_id
        raise
    except OSError as error:
        raise _save_error(path, error, task_id) from error


def _save_error(path: Path, error: OSError, task_id: TaskId, arrival: Arrival | None = None) -> SaveError:
    why = error.strerror or str(error)
    if error.errno in _FULL and arrival is not None and arrival.download.length is not None:
        why += f", of {arrival.download.length:,} bytes {arrival.download.length - arrival.size:,} were still to come"
    return SaveError(f"{path} cannot be written: {why}", why=why, phase="download", task_id=task_id)
