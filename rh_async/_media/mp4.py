"""How long a video lasts, as its own header says: MP4 and MOV, for which a few bytes tell.

It reads from what others have opened, and guesses nothing: what cannot be read is not known.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

_BOX: Final = struct.Struct(">I4s")
_SHORT, _LONG = struct.Struct(">II"), struct.Struct(">IQ")  # ticks per second, ticks
_DEEPEST: Final = 64  # boxes on one level; a video that has more before its header is not looked through


def duration(file: BinaryIO) -> float | None:
    """The duration in the movie's header, ``moov/mvhd``; None where there is none to read."""
    end = file.seek(0, 2)
    file.seek(0)
    for name in (b"moov", b"mvhd"):
        found = _enter(file, name, end)
        if found is None:
            return None
        end = found
    return _stated(file.read(min(32, max(0, end - file.tell()))))


def _enter(file: BinaryIO, name: bytes, end: int) -> int | None:
    """Go to the content of a box, and say where it ends; None if there is none of this name."""
    for _ in range(_DEEPEST):
        start = file.tell()
        head = file.read(_BOX.size)
        if len(head) < _BOX.size or start >= end:
            return None
        size, kind = _BOX.unpack(head)
        if size == 1:  # too large for its field, and told in the next
            size = int.from_bytes(file.read(8), "big")
        stop = start + size if size else end
        if kind == name:
            return min(stop, end)
        if not start < stop < end:
            return None
        file.seek(stop)
    return None


def _stated(header: bytes) -> float | None:
    layout, at = (_LONG, 20) if header[:1] == b"\1" else (_SHORT, 12)
    if len(header) < at + layout.size:
        return None
    scale, ticks = layout.unpack_from(header, at)
    unknown = 2 ** (8 * layout.size - 32) - 1  # every bit set, as of a film that was still being written
    return ticks / scale if scale and ticks not in {0, unknown} else None
