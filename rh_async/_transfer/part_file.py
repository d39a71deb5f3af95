"""Writes an output to its ``.part`` file: free space checked, fsynced, and renamed only once it is whole."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from attrs import frozen

from rh_async._journal.lease import mark_in_use
from rh_async._media.byte_source import Truncated
from rh_async._media.file_io import in_thread, is_shortage, open_file
from rh_async._media.file_structure import check_structure
from rh_async.errors import ResponseLost, RHError, SaveError
from rh_async.types import TaskId

from .download_stream import AttemptReader, DownloadTarget

log = logging.getLogger(__name__)

T = TypeVar("T")

_WRITE_SIZE = 1024 * 1024  # one write per MiB moved 687 MB/s, one per network read 455
_SPACE_CHECKED_EVERY = 64 * 1024 * 1024  # bytes between two checks of the free space
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class _Sink(Protocol):
    async def write(self, data: bytes, /) -> object: ...


@frozen
class PartFile:
    """The file that one output is written to; its final name appears only when the output is whole.

    :param path: in the folder of the output, since a rename between file systems is not atomic.
    """

    path: Path
    target: DownloadTarget

    async def write_text(self, text: str) -> None:
        """Write an output that has no link.

        :raises SaveError: it cannot be written.
        """

        def write() -> None:
            with self.path.open("wb") as sink:
                sink.write(text.encode(errors="replace"))
                sink.flush()
                os.fsync(sink.fileno())

        await on_disk(self.target.path(), self.target.task_id, write)

    async def write(self, reader: AttemptReader, on_progress: Callable[[], None]) -> None:
        """Write all that a reader has and reads; from the beginning, whatever an earlier attempt has written.

        :param on_progress: called after each write.
        :raises SaveError: it cannot be written.
        :raises RHError: it cannot be read.
        """
        try:
            await self._check_space(reader)
            async with open_file(self.path, "wb") as sink:
                mark_in_use(sink.fileno())  # or another command would remove it as what a killed one left behind
                await self._copy_chunks(reader, sink, on_progress)
                await sink.flush()
                # Durable before the rename, and before the journal says "saved": the job is not downloaded once more.
                await asyncio.to_thread(os.fsync, sink.fileno())
        except RHError:
            raise
        except OSError as error:
            if is_shortage(error):
                raise
            raise _save_error(self.target.path(), error, self.target.task_id, reader) from error

    async def _copy_chunks(self, reader: AttemptReader, sink: _Sink, on_progress: Callable[[], None]) -> None:
        pending, checked = reader.head, 0
        while chunk := await reader.read():
            pending += chunk
            if len(pending) >= _WRITE_SIZE:
                await sink.write(bytes(pending))
                pending.clear()
                on_progress()
            if reader.size - checked >= _SPACE_CHECKED_EVERY:
                checked = reader.size
                await self._check_space(reader)
        await sink.write(bytes(pending))
        on_progress()

    async def _check_space(self, reader: AttemptReader) -> None:
        """Check that the rest fits on the disk: several downloads may fill it together.

        :raises SaveError: it does not.
        """
        length = reader.download.length
        if length is None:
            return
        free = await asyncio.to_thread(_free_bytes, self.target.folder)
        missing = length - reader.size + len(reader.head) - (length if free is None else free)
        if missing > 0:
            why = f"the disk is full, {missing:,} bytes are missing"
            raise SaveError(f"{self.target.path()} cannot be written: {why}", why=why, phase="download")

    async def is_whole(self) -> bool:
        """Check the file's structure, since no length was promised; whether the structure proves the file whole.

        :raises ResponseLost: it is cut.
        """

        def check() -> bool:
            with self.path.open("rb") as file:
                return check_structure(file, os.fstat(file.fileno()).st_size) == "whole"

        try:
            return await asyncio.to_thread(check)
        except Truncated as error:
            raise ResponseLost(f"download: the file is cut: {error}", phase="download") from error

    async def rename(self, extension: str) -> Path:
        """Give the whole file its final name, atomically, and return that.

        :raises SaveError: it cannot be renamed.
        """
        final = self.target.path(extension)
        await on_disk(final, self.target.task_id, lambda: self.path.replace(final))
        return final

    async def remove(self) -> None:
        """Remove the file if it is there; a failure is logged only, since the save has its own result already."""
        try:
            await in_thread(partial(self.path.unlink, missing_ok=True))
        except (OSError, RHError) as error:
            log.warning("rh_async.part_left %s: %s", self.path, error)


async def on_disk(path: Path, task_id: TaskId, act: Callable[[], T]) -> T:
    """Run a disk operation in a thread.

    :raises SaveError: it failed.
    """
    try:
        return await in_thread(act)
    except RHError as error:
        error.task_id = task_id
        raise
    except OSError as error:
        raise _save_error(path, error, task_id) from error


def _free_bytes(folder: Path) -> int | None:
    """Return how many bytes the disk has left; None where it does not say."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return usage.free if usage.total else None


def _save_error(path: Path, error: OSError, task_id: TaskId, reader: AttemptReader | None = None) -> SaveError:
    why = error.strerror or str(error)
    if error.errno in _FULL and reader is not None and reader.download.length is not None:
        why += f", of {reader.download.length:,} bytes {reader.download.length - reader.size:,} were still to come"
    return SaveError(f"{path} cannot be written: {why}", why=why, phase="download", task_id=task_id)
