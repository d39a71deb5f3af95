"""Streams a local file as the body of an upload: with a known length, hashed while it is sent, opened per attempt."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from attrs import define, field

from rh_async._media.file_io import open_file

_CHUNK = 256 * 1024  # 1.1 GB/s at 1 ms of loop lag; larger chunks gain nothing and lag more


@define(eq=False, kw_only=True, repr=False)
class FileBody:
    """A file to send as one multipart part.

    A body is opened anew for each attempt, never a live iterator: a repeated attempt would send what is left of it, and
    the server would accept an empty file.

    :param name: the multipart file name.
    :param size: bytes to send; a file that has fewer fails the attempt.
    :param progress: called with the number of bytes sent so far.
    :ivar sha256: of what the last whole attempt sent, in hex; "" before.
    """

    path: Path
    name: str
    size: int
    progress: Callable[[int], None]
    sha256: str = field(default="", init=False)


def multipart(file: FileBody, *, stall: float) -> aiohttp.MultipartWriter:
    """Build the form with the file as its only part, named ``file`` (contract 5.1).

    :param stall: seconds after which an attempt fails if not one chunk was accepted.
    """
    writer = aiohttp.MultipartWriter("form-data")
    part = _FilePart(file, stall)
    part.set_content_disposition("form-data", name="file", filename=file.name)
    writer.append_payload(part)
    return writer


class _FilePart(aiohttp.Payload):
    """Streams the file, and limits its own stall: an upload has no total time-out, and sock_read ignores writes."""

    _autoclose = True

    def __init__(self, file: FileBody, stall: float) -> None:
        super().__init__(file, content_type="application/octet-stream")
        self._size = file.size
        self._stall = stall

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("a file is bytes")  # pragma: no cover - aiohttp asks only for what it can hold in memory

    async def write(self, writer: AbstractStreamWriter) -> None:
        file: FileBody = self._value
        digest, remaining = hashlib.sha256(), file.size
        async with open_file(file.path, "rb") as source:
            while remaining and (chunk := await source.read(min(_CHUNK, remaining))):
                async with asyncio.timeout(self._stall):
                    await writer.write(chunk)
                digest.update(chunk)
                remaining -= len(chunk)
                file.progress(file.size - remaining)
        if remaining:
            raise OSError(f"{file.path} shrank while it was sent")
        file.sha256 = digest.hexdigest()
