"""Reads the duration of an MP4 file from its header, for billing by the second."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO


def read_duration(path: Path) -> float | None:
    """Return the seconds in ``moov/mvhd``; None if the file has no such box. Blocks: call it off the event loop."""
    with path.open("rb") as file:
        end = path.stat().st_size
        if (moov := _enter_box(file, b"moov", end)) is None or (mvhd := _enter_box(file, b"mvhd", moov)) is None:
            return None
        return _parse_mvhd(file.read(min(32, mvhd - file.tell())))


def _enter_box(file: BinaryIO, wanted: bytes, end: int) -> int | None:
    """Seek to the content of the next box of a kind and return where the box ends; None if there is none."""
    while (start := file.tell()) + 8 <= end:
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:  # a 64-bit size follows
            size = int.from_bytes(file.read(8), "big")
        stop = end if size == 0 else start + size
        if stop <= start + 7 or stop > end:  # smaller than its header, or cut off: no MP4
            return None
        if kind == wanted:
            return stop
        file.seek(stop)
    return None


def _parse_mvhd(header: bytes) -> float | None:
    if len(header) < 20 or (header[0] == 1 and len(header) < 32):
        return None
    # Version 1 has 64-bit times and a 64-bit duration.
    scale, units = struct.unpack_from(">IQ", header, 20) if header[0] == 1 else struct.unpack_from(">II", header, 12)
    return float(units / scale) if scale else None
