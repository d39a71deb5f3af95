"""Reads a media file's bytes by their places, and says *cut* where the file ends before what it promises. Pure."""

from __future__ import annotations

from typing import BinaryIO, Literal

from attrs import frozen

Verdict = Literal["whole", "unjudged"]
"""What a structure proves: that a file is all there, or nothing."""
STEPS = 1_000_000
"""How many parts of a file are looked at before it counts as unjudged: no file may keep a thread busy for ever."""


class Cut(Exception):
    """A file ends before its structure does; the text says where."""


@frozen
class Source:
    """A file of known size."""

    _file: BinaryIO
    size: int

    def take(self, at: int, count: int) -> bytes:
        """Read so many bytes from a place.

        :raises Cut: the file has fewer.
        """
        self.reach(at + count)
        self._file.seek(at)
        return self._file.read(count)

    def number(self, at: int, count: int, *, little: bool = False) -> int:
        """Read a number of so many bytes.

        :raises Cut: the file has fewer.
        """
        return int.from_bytes(self.take(at, count), "little" if little else "big")

    def reach(self, end: int, what: str = "a part") -> None:
        """Make sure that the file goes on to a place.

        :raises Cut: it does not.
        """
        if end > self.size:
            raise Cut(f"{what} of it goes on for {end - self.size} bytes after its end")

    def tail(self, count: int) -> bytes:
        """Read the last bytes, fewer if the file is smaller."""
        return self.take(max(0, self.size - count), min(count, self.size))

    def find(self, wanted: bytes, at: int) -> bool:
        """Whether some bytes are anywhere after a place."""
        self._file.seek(at)
        before = b""
        while block := self._file.read(1 << 20):
            if wanted in before + block:
                return True
            before = block[-len(wanted) + 1 :]
        return False
