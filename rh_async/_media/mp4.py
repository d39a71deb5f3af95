"""Reads the duration of an MP4 or MOV video from its header, which takes a few bytes.

It reads from a file that its caller has opened, and guesses nothing: a header that cannot be parsed gives None.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

_BOX: Final = struct.Struct(">I4s")
_SHORT, _LONG = struct.Struct(">II"), struct.Struct(">IQ")  # ticks per second, ticks
_MAX_BOXES: Final = 64  # boxes on one level; a video with more before its header is not searched


def duration(file: BinaryIO) -> float | None:
    """Read the duration in seconds from the movie header, ``moov/mvhd``; None where there is none."""
    end = file.seek(0, 2)
    file.seek(0)
    for name in (b"moov", b"mvhd"):
        found = _find_box(file, name, end)
        if found is None:
            return None
        end = found
    return _parse_mvhd(file.read(min(32, max(0, end - file.tell()))))


def _find_box(file: BinaryIO, name: bytes, end: int) -> int | None:
    """Seek to the content of a box, and return its end; None if there is no box of this name."""
    for _ in range(_MAX_BOXES):
        start = file.tell()
        head = file.read(_BOX.size)
        if len(head) < _BOX.size or start >= end:
            return None
        size, kind = _BOX.unpack(head)
        if size == 1:  # the size did not fit this field, and follows the name
            size = int.from_bytes(file.read(8), "big")
        stop = start + size if size else end
        if kind == name:
            return min(stop, end)
        if not start < stop < end:
            return None
        file.seek(stop)
    return None


def _parse_mvhd(header: bytes) -> float | None:
    layout, at = (_LONG, 20) if header[:1] == b"\1" else (_SHORT, 12)
    if len(header) < at + layout.size:
        return None
    scale, ticks = layout.unpack_from(header, at)
    unknown = 2 ** (8 * layout.size - 32) - 1  # every bit set, as in a video that was still being written
    return ticks / scale if scale and ticks not in {0, unknown} else None
