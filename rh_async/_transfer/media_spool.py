"""Writes media that is not a file (bytes, streams, pictures) to temporary files, and removes them after their last job.

The rest of the package works with files: their size is known before the first byte is sent, they can be sent again
after a failed attempt, and memory does not grow with a queue of videos.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import anyio
from attrs import define, field

from rh_async._concurrency.session_tasks import SessionTasks
from rh_async._concurrency.single_flight import SingleFlight
from rh_async._media.file_io import in_thread
from rh_async.errors import InvalidMedia, RHError
from rh_async.models.base import Request
from rh_async.models.media_input import Media, Picture, SourceKind

R = TypeVar("R", bound=Request)

_CHUNK = 1024 * 1024


@define(eq=False)
class _Spooled:
    """The temporary file of one source.

    :ivar written: the work that writes it.
    :ivar users: how many jobs need it now.
    """

    written: SingleFlight[Path]
    users: int = 0


@define(eq=False, kw_only=True, repr=False)
class Spool:
    """The temporary files of one session.

    :param tasks: where a source is written: a cancelled job does not stop it for the other jobs with the same source.
    """

    tasks: SessionTasks
    _folder: Path | None = field(default=None, init=False)
    _spooled: dict[Media, _Spooled] = field(factory=dict, init=False)
    _number: int = field(default=0, init=False)

    @asynccontextmanager
    async def files(self, request: R) -> AsyncIterator[R]:
        """Provide the request with a temporary file in place of each source, while the body runs.

        :raises InvalidMedia: a source cannot be read to its end.
        """
        sources = list(dict.fromkeys(request.sources()))
        if not sources:
            yield request
            return
        for media in sources:
            self._acquire(media).users += 1
        try:
            yield request.with_files({media: await self._spooled[media].written.value() for media in sources})
        finally:
            with anyio.CancelScope(shield=True):  # a cancelled job must not leave its temporary files behind
                for media in sources:
                    await self._release(media)

    @asynccontextmanager
    async def file(self, media: Media) -> AsyncIterator[Path]:
        """Provide a temporary file with one source, while the body runs.

        :raises InvalidMedia: it cannot be read to its end.
        """
        self._acquire(media).users += 1
        try:
            yield await self._spooled[media].written.value()
        finally:
            with anyio.CancelScope(shield=True):
                await self._release(media)

    async def close(self) -> None:
        """Remove all temporary files."""
        if self._folder is not None:
            await in_thread(partial(shutil.rmtree, self._folder, ignore_errors=True))

    def _acquire(self, media: Media) -> _Spooled:
        known = self._spooled.get(media)
        if known is None or (known.written.error is not None and not known.users):
            known = self._spooled[media] = _Spooled(SingleFlight[Path]())
            self.tasks.start_soon(known.written.run, partial(self._write, media))
        return known

    async def _release(self, media: Media) -> None:
        spooled = self._spooled[media]
        spooled.users -= 1
        # A stream cannot be read twice: its file is kept for a later job with the same media, until the session ends.
        if not spooled.users and media.rereadable:
            del self._spooled[media]
            for path in spooled.written.values:
                await in_thread(partial(shutil.rmtree, path.parent, ignore_errors=True))

    async def _write(self, media: Media) -> Path:
        self._number += 1
        try:
            path = await in_thread(partial(self._new_path, self._number, media.name))
            with await in_thread(lambda: path.open("wb")) as sink:
                async for chunk in _chunks(media):
                    await in_thread(partial(sink.write, chunk))
        except OSError as error:
            why = error.strerror or error
            raise InvalidMedia(f"{media.name} cannot be written to a temporary file: {why}") from error
        return path

    def _new_path(self, number: int, name: str) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rh_async-"))
        folder = self._folder / str(number)
        folder.mkdir()
        return folder / name


async def _chunks(media: Media) -> AsyncIterator[bytes]:
    """Read a source. Whatever the caller's own code raises becomes an error of this source.

    :raises InvalidMedia: it cannot be read.
    """
    try:
        async for chunk in _raw_chunks(media):
            yield _checked(chunk, media)
    except RHError:
        raise
    except Exception as error:
        raise InvalidMedia(f"{media.name} cannot be read: {type(error).__name__}: {error}") from error


async def _raw_chunks(media: Media) -> AsyncIterator[object]:
    match media.kind:
        case SourceKind.STREAM:
            async for chunk in cast("AsyncIterator[object]", media.source):
                yield chunk
        case SourceKind.BYTES:
            yield media.source
        case SourceKind.PICTURE:
            yield await in_thread(partial(_png, cast("Picture", media.source)))
        case SourceKind.FILE:
            file = cast("BinaryIO", media.source)
            if media.rereadable:
                await in_thread(partial(file.seek, 0))
            while chunk := await in_thread(partial(file.read, _CHUNK)):
                yield chunk


def _checked(chunk: object, media: Media) -> bytes:
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise InvalidMedia(f"{media.name} gave {type(chunk).__name__}, not bytes: open it in binary mode")
    return bytes(chunk)


def _png(picture: Picture) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, "PNG")
    return sink.getvalue()
