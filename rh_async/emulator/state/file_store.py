"""What was uploaded, kept by content, and what counts as a file of each kind (contract 5.1)."""

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

from rh_async.emulator.http.payloads import RequestRejected
from rh_async.emulator.state.mp4_duration import read_duration
from rh_async.emulator.state.signed_urls import UrlSigner

UploadNaming = Literal["sha256", "other"]
KINDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("jpg", "jpeg", "png", "webp"), "image"),
        **dict.fromkeys(("mp4", "avi", "mov", "mkv", "webm"), "video"),
        **dict.fromkeys(("mp3", "wav", "flac"), "audio"),
        "zip": "zip",
    }
)
# Where each format says its name; the rest is taken at its word.
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
    """One uploaded content.

    :param name: what ``NN##field`` parameters call it.
    :param seconds: how long it lasts, None if that is unknown.
    """

    sha256: str
    extension: str
    size: int
    path: Path
    name: str
    seconds: float | None = None

    @property
    def kind(self) -> str:
        return KINDS[self.extension]


@define(eq=False)
class FileStore:
    """The files of one emulator, on disk; only what describes them is in memory.

    :param naming: which hash names them.
    :param largest: in bytes; None for no limit.
    """

    _folder: Path
    links: UrlSigner
    _naming: UploadNaming = "sha256"
    _largest: int | None = None
    _files: dict[str, StoredFile] = field(factory=dict, init=False)
    _numbers: count[int] = field(factory=count, init=False)

    async def keep(self, extension: str, blocks: AsyncIterable[bytes]) -> StoredFile:
        """Write an incoming file, block by block, under its content's name."""
        part = self._folder / f"incoming-{next(self._numbers)}"
        digest, size = hashlib.sha256(), 0
        try:
            async with aiofiles.open(part, "wb") as file:
                async for block in blocks:
                    if not size:
                        _check_magic(extension, block)
                    size += len(block)
                    if self._too_large(size):
                        continue  # read to its end all the same, so that the caller hears the answer
                    await asyncio.gather(file.write(block), asyncio.to_thread(digest.update, block))
            if self._too_large(size):
                raise RequestRejected("809")
            stored = await asyncio.to_thread(self._store_part, part, digest.hexdigest(), extension, size)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)
        self._files[stored.name] = stored
        return stored

    def named(self, name: str) -> StoredFile | None:
        """Find a file by the name the upload answered, with or without its folder."""
        return self._files.get(name if name.startswith("openapi/") else f"openapi/{name}")

    def link(self, stored: StoredFile) -> str:
        """Return a fresh link to a file."""
        return self.links.sign(f"/input/{stored.name}")

    def linked(self, url: str) -> StoredFile | None:
        """Return the file behind a link of this server, None for a link to elsewhere or to a result."""
        path = self.links.verified_path(url)
        if path is None or path.startswith("/output/"):
            return None
        stored = self.named(path.removeprefix("/input/"))
        if stored is None:
            raise RequestRejected("1013")
        return stored

    def _store_part(self, part: Path, sha256: str, extension: str, size: int) -> StoredFile:
        if not size:
            raise RequestRejected("1013")
        path = self._folder / f"{sha256}.{extension}"
        part.replace(path)
        seconds = read_duration(path) if extension in {"mp4", "mov"} else None
        return StoredFile(sha256, extension, size, path, self._name(sha256, extension), seconds)

    def _too_large(self, size: int) -> bool:
        return self._largest is not None and size > self._largest

    def _name(self, sha256: str, extension: str) -> str:
        stem = sha256 if self._naming == "sha256" else hashlib.sha256(sha256.encode()).hexdigest()
        return f"openapi/{stem}.{extension}"


def _check_magic(extension: str, head: bytes) -> None:
    offset, magic = _MAGIC.get(extension, (0, b""))
    if head[offset : offset + len(magic)] != magic:
        raise RequestRejected("1013")
