"""Reads a media file by offset, and raises where the file ends before what its own structure promises. Pure."""

from __future__ import annotations

from typing import BinaryIO, Literal

from attrs import frozen

Completeness = Literal["whole", "unknown"]
"""What a file's structure proves: that the file is whole, or nothing."""
MAX_PARTS = 1_000_000
"""How many parts of a file are read before its completeness stays unknown: no file may keep a thread busy for ever."""


class Truncated(Exception):
    """A file ends before its structure does; the message says where."""


@frozen
class ByteSource:
    """A file of known size."""

    _file: BinaryIO
    size: int

    def read_at(self, at: int, count: int) -> bytes:
        """Read bytes at an offset.

        :raises Truncated: the file has fewer.
        """
        self.require(at + count)
        self._file.seek(at)
        return self._file.read(count)

    def read_int(self, at: int, count: int, *, little: bool = False) -> int:
        """Read an integer at an offset.

        :raises Truncated: the file has fewer.
        """
        return int.from_bytes(self.read_at(at, count), "little" if little else "big")

    def require(self, end: int, what: str = "a part") -> None:
        """Check that the file has bytes up to an offset.

        :raises Truncated: it ends before.
        """
        if end > self.size:
            raise Truncated(f"{what} of it goes on for {end - self.size} bytes after its end")

    def read_tail(self, count: int) -> bytes:
        """Read the last bytes, fewer if the file is smaller."""
        return self.read_at(max(0, self.size - count), min(count, self.size))

    def contains_after(self, wanted: bytes, at: int) -> bool:
        """Whether some bytes occur anywhere from an offset on."""
        self._file.seek(at)
        before = b""
        while block := self._file.read(1 << 20):
            if wanted in before + block:
                return True
            before = block[-len(wanted) + 1 :]
        return False
