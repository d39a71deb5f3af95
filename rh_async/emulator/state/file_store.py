"""Stores uploaded files by content, and checks their type (contract 5.1)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import aiofiles
from attrs import define, field, frozen

from rh_async.emulator.state.mp4_duration import read_duration
from rh_async.emulator.state.rejections import RequestRejected
from rh_async.emulator.state.signed_urls import UrlSigner

UploadNaming = Literal["sha256", "other"]
FILE_KINDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("jpg", "jpeg", "png", "webp"), "image"),
        **dict.fromkeys(("mp4", "avi", "mov", "mkv", "webm"), "video"),
        **dict.fromkeys(("mp3", "wav", "flac"), "audio"),
        "zip": "zip",
    }
)
"""Which kind of file has which extension."""

# Offset and value of the magic bytes by extension; files with other extensions are not checked.
_MAGIC: Mapping[str, tuple[int, bytes]] = MappingProxyType(
    {
        "jpg": (0, b"\xff\xd8\xff"),
        "jpeg": (0, b"\xff\xd8\xff"),
        "png": (0, b"\x89PNG\r\n\x1a\n"),
        "webp": (8, b"WEBP"),
        "mp4": (4, b"ftyp"),
    }
)


@frozen
class StoredFile:
    """One uploaded file.

    :param name: its ``fileName``, which ``NN##field`` parameters take (contract 2.5).
    :param seconds: its duration; None if that is not known.
    """

    sha256: str
    extension: str
    size: int
    path: Path
    name: str
    seconds: float | None = None

    @property
    def kind(self) -> str:
        return FILE_KINDS[self.extension]


@define(eq=False)
class FileStore:
    """The uploaded files of one emulator: contents on disk, metadata in memory.

    :param naming: whether a file is named by the SHA-256 of its content, or by another hash.
    :param max_bytes: of one file; None for no limit.
    """

    _folder: Path
    url_signer: UrlSigner
    _naming: UploadNaming = "sha256"
    _max_bytes: int | None = None
    _files: dict[str, StoredFile] = field(factory=dict, init=False)
    _numbers: count[int] = field(factory=count, init=False)

    async def save(self, extension: str, blocks: AsyncIterable[bytes]) -> StoredFile:
        """Write an incoming file, block by block, and store it under the hash of its content.

        :raises RequestRejected: the file is empty or too large, or its content does not match its extension.
        """
        part = self._folder / f"incoming-{next(self._numbers)}"  # the final name needs the hash of the whole content
        digest, size = hashlib.sha256(), 0
        try:
            async with aiofiles.open(part, "wb") as file:
                async for block in blocks:
                    if not size:
                        _check_magic(extension, block)
                    size += len(block)
                    if self._is_too_large(size):
                        continue  # read to the end, because a client that is still sending may miss the response
                    # Both run in threads: neither the disk nor the hash holds up the other requests.
                    await asyncio.gather(file.write(block), asyncio.to_thread(digest.update, block))
            if self._is_too_large(size):
                raise RequestRejected("809")
            stored = await asyncio.to_thread(self._store_part, part, digest.hexdigest(), extension, size)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)
        self._files[stored.name] = stored
        return stored

    def find(self, name: str) -> StoredFile | None:
        """Return a file by its ``fileName``, with or without the folder ``openapi/``."""
        return self._files.get(name if name.startswith("openapi/") else f"openapi/{name}")

    def link(self, stored: StoredFile) -> str:
        """Return a fresh link to a file."""
        return self.url_signer.sign(f"/input/{stored.name}")

    def find_by_link(self, url: str) -> StoredFile | None:
        """Return the file that a link of this server leads to; None for a task's result or another server's file.

        :raises InvalidLink: the link has expired or was not signed here.
        :raises RequestRejected: there is no such file.
        """
        path = self.url_signer.verified_path(url)
        if path is None or path.startswith("/output/"):
            return None
        stored = self.find(path.removeprefix("/input/"))
        if stored is None:
            raise RequestRejected("1013")
        return stored

    def _store_part(self, part: Path, sha256: str, extension: str, size: int) -> StoredFile:
        if not size:
            raise RequestRejected("1013")
        path = self._folder / f"{sha256}.{extension}"
        part.replace(path)
        seconds = read_duration(path) if extension in {"mp4", "mov"} else None
        stem = sha256 if self._naming == "sha256" else hashlib.sha256(sha256.encode()).hexdigest()
        return StoredFile(sha256, extension, size, path, f"openapi/{stem}.{extension}", seconds)

    def _is_too_large(self, size: int) -> bool:
        return self._max_bytes is not None and size > self._max_bytes


def _check_magic(extension: str, head: bytes) -> None:
    offset, magic = _MAGIC.get(extension, (0, b""))
    if head[offset : offset + len(magic)] != magic:
        raise RequestRejected("1013")
