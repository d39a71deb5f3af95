"""Saves outputs to files. File names come from the task, never from a URL.

A download is retried apart from its job: nothing here is paid again. A link that has expired is asked for anew. Each
attempt holds one of a few slots, and gives it up while it backs off: a slow server holds up only its own outputs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path
from uuid import uuid4

import anyio
from attrs import define, field, frozen

from rh_async._api.endpoints import download_error
from rh_async._http.link_client import Download
from rh_async._http.transport import Transport
from rh_async._media.file_extension import possible_extensions
from rh_async._media.file_io import is_shortage, out_of_resources
from rh_async.errors import NotFound, ResponseLost, RHError
from rh_async.events import Downloading, Event, Saved
from rh_async.types import Output, Result, TaskId

from .download_policy import DownloadPolicy
from .download_stream import AttemptLimits, AttemptReader, DownloadTarget, Naming, choose_source
from .part_file import PartFile, on_disk

log = logging.getLogger(__name__)

_AT_ONCE = 8  # each holds a descriptor, a connection and a MiB in memory
_FRESH_URLS = 3  # times that an expired link is replaced before its error is raised
_MAX_ID = 64  # characters of the task id in a file name
_UNSAFE = re.compile(r"[^0-9A-Za-z]+")


@frozen
class _SavedOutput:
    """An output on disk.

    :param verified: whether the file is known to be whole.
    """

    path: Path
    verified: bool = True


@define(eq=False, kw_only=True, repr=False)
class Downloads:
    """The downloads of one session.

    :param refresh_outputs: asks the server for a job's outputs again, with links that have not expired.
    :param emit: receives the events.
    :param session_id: in the names of ``.part`` files, so that it is known which session writes them.
    """

    transport: Transport
    refresh_outputs: Callable[[TaskId], Awaitable[tuple[Output, ...]]]
    emit: Callable[[Event], None]
    policy: DownloadPolicy = field(factory=DownloadPolicy)
    session_id: str = field(factory=lambda: uuid4().hex[:12])
    _slots: anyio.CapacityLimiter = field(factory=lambda: anyio.CapacityLimiter(_AT_ONCE), init=False)
    _part_numbers: count[int] = field(factory=count, init=False)

    async def save(
        self, result: Result, folder: Path, *, overwrite: bool, name: Naming | None = None
    ) -> tuple[Path, ...]:
        """Save every output of a result, in order.

        :param name: names each file; by default by the task id and the output's index.
        :param overwrite: whether a file that is there already is downloaded again; a file only ever appears whole.
        :raises SaveError: a file cannot be written.
        :raises RHError: an output could not be downloaded.
        """
        await on_disk(folder, result.task_id, lambda: folder.mkdir(parents=True, exist_ok=True))
        saved = []
        for index, output in enumerate(result.outputs):
            target = DownloadTarget(result.task_id, index, output, folder, name or _default_name)
            existing = None if overwrite else await on_disk(folder, result.task_id, partial(_find_existing, target))
            saved.append(_SavedOutput(existing) if existing else await self._save_one(target))
        paths = tuple(one.path for one in saved)
        unverified = tuple(one.path for one in saved if not one.verified)
        self.emit(Saved(task_id=result.task_id, paths=paths, unverified=unverified))
        return paths

    async def _save_one(self, target: DownloadTarget) -> _SavedOutput:
        name = f".{target.path().name}.{self.session_id}-{next(self._part_numbers)}.part"
        part = PartFile(target.folder / name, target)
        try:
            extension, verified = await self._write_part(target, part)
            path = await part.rename(extension)
        finally:
            with anyio.CancelScope(shield=True):  # a cancelled save leaves no file behind
                await part.remove()
        if not verified:
            log.warning("rh_async.unverified %s: it came without a length, and may be cut", path)
        return _SavedOutput(path, verified)

    async def _write_part(self, target: DownloadTarget, part: PartFile) -> tuple[str, bool]:
        """Write an output to its ``.part`` file; return its extension, and whether it is known to be whole."""
        if target.output.url is None:
            await part.write_text(target.output.text or "")
            return target.expected_kind, True
        url = target.output.url
        for _ in range(_FRESH_URLS):
            try:
                return await self._download(target, url, part)
            except NotFound:
                # The link has expired (contract 0.7), or the output is gone: a query is free, and tells which.
                url = await self._refresh_url(target)
        return await self._download(target, url, part)

    async def _refresh_url(self, target: DownloadTarget) -> str:
        outputs = await self.refresh_outputs(target.task_id)
        if target.index >= len(outputs) or not (url := outputs[target.index].url):
            raise NotFound("the server no longer has this output", phase="download", task_id=target.task_id)
        return url

    async def _download(self, target: DownloadTarget, url: str, part: PartFile) -> tuple[str, bool]:
        limits = AttemptLimits(self.policy.min_rate)
        try:
            attempt = partial(self._attempt, target, url, part, limits)
            return await self.transport.with_retries(attempt, idle=lambda: limits.waited)
        except RHError as error:
            error.task_id = target.task_id
            raise

    # --- one attempt -------------------------------------------------------------------------------------------------

    async def _attempt(
        self, target: DownloadTarget, url: str, part: PartFile, limits: AttemptLimits
    ) -> tuple[str, bool]:
        began = anyio.current_time()
        try:
            async with self._slots:
                limits.waited += anyio.current_time() - began
                async with self.transport.fetch(url) as download:
                    return await self._receive(target, download, part, limits)
        except RHError:
            raise
        except (OSError, MemoryError, RuntimeError) as error:
            # This machine lacks descriptors, threads or memory: the next attempt may find them.
            if is_shortage(error):
                raise out_of_resources(error, "download") from error
            raise

    async def _receive(
        self, target: DownloadTarget, download: Download, part: PartFile, limits: AttemptLimits
    ) -> tuple[str, bool]:
        if error := download_error(download.status, download.content_type, target.expected_kind):
            raise error
        source = choose_source(target, download)
        reader = AttemptReader(target, download, source, self.policy, limits)
        await reader.read_head()
        extension = reader.extension()
        await part.write(reader, lambda: self._report_progress(reader))
        if not reader.size or reader.size != (download.length or reader.size):
            raise ResponseLost(f"download: {reader.size} of {download.length} bytes came", phase="download")
        if download.length is not None:
            return extension, True
        # The structure is checked though the end was marked: a gateway that got only half marks an end of that, too.
        return extension, await part.is_whole() or download.ended or source is not download

    def _report_progress(self, reader: AttemptReader) -> None:
        self.emit(Downloading(task_id=reader.target.task_id, bytes=reader.size, total=reader.download.length))


def _find_existing(target: DownloadTarget) -> Path | None:
    """Find the output's file, if it is there already. Blocks: call it off the event loop."""
    paths = (target.path(extension) for extension in possible_extensions(target.output))
    return next((path for path in paths if path.exists()), None)


def _default_name(task_id: TaskId, index: int, extension: str) -> str:
    return f"{_UNSAFE.sub('-', task_id)[:_MAX_ID]}_{index}.{extension}"
