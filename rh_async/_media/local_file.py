"""Reads a local file once: its kind, length and SHA-256 from one open, kept while the file stays as it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path

from attrs import define, evolve, field, frozen

from .filetype import HEAD, guess_kind
from .mp4 import duration

_REMEMBERED = 10_000  # files: memory stays bounded over a run of very many; a forgotten one is read once more


@frozen
class FileIdentity:
    """What tells a file from every other, and from itself after a change."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileIdentity:
        """Take the identity from what ``stat`` or ``fstat`` returned."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@frozen
class LocalFile:
    """A local file as it was when it was read.

    :param kind: by content, as its usual extension; None for an unknown one.
    :param sha256: of the content, in hex.
    :param seconds: how long it lasts, if it is a video whose header says so.
    """

    path: Path
    identity: FileIdentity
    kind: str | None
    sha256: str
    seconds: float | None

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.identity.size


@define(eq=False, repr=False)
class LocalFiles:
    """The files that were read, by their identity: a plan hands them to the run, so that no file is read twice.

    A caller looks a file's identity up each time it needs the file, which is one ``stat``. A file that has changed in
    between has another identity, and is read again: its old SHA-256 would name a job that is not the one paid for.
    """

    _known: dict[FileIdentity, LocalFile] = field(factory=dict, init=False)

    def known(self, path: Path, identity: FileIdentity) -> LocalFile | None:
        """What was read of a file before, under whatever name."""
        file = self._known.get(identity)
        return file if file is None or file.path == path else evolve(file, path=path)

    def add(self, file: LocalFile) -> LocalFile:
        """Remember a file. Not thread-safe: call it where no other thread does, as on the event loop."""
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[file.identity] = file
        return file

    def read(self, path: Path, found: os.stat_result | None = None) -> LocalFile:
        """Read a regular file, unless it is known. Blocks, and like `add` is not thread-safe.

        :param found: what ``stat`` returned just now; by default the file is looked up here.
        :raises OSError: it cannot be read.
        """
        identity = FileIdentity.of(path.stat() if found is None else found)
        return self.known(path, identity) or self.add(read_file(path, identity))

    def include(self, others: LocalFiles) -> None:
        """Remember the files that were read elsewhere, for instance by a plan."""
        for file in others._known.values():
            self.add(file)


def read_file(
    path: Path, identity: FileIdentity, accept: Callable[[str | None], object] = lambda _kind: None
) -> LocalFile:
    """Read a file: one open for its kind, its length and its SHA-256. Blocks: call it off the loop.

    :param identity: as it was just looked up; it must be a regular file, since opening a pipe may block for ever.
    :param accept: called with the kind; it raises where a file of this kind need not be hashed.
    :raises OSError: it cannot be read.
    """
    with path.open("rb") as source:
        kind = guess_kind(source.read(HEAD))
        accept(kind)
        seconds = duration(source) if kind in {"mp4", "mov"} else None
        source.seek(0)
        return LocalFile(path, identity, kind, file_digest(source, "sha256").hexdigest(), seconds)
