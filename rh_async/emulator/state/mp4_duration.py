"""How long a video lasts, read from the boxes of an MP4 and nothing else."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO


def read_duration(path: Path) -> float | None:
    """Return the seconds that ``moov/mvhd`` states, None where there is none to read. Blocks: call it off the loop."""
    with path.open("rb") as file:
        end = path.stat().st_size
        if (moov := _find(file, b"moov", end)) is None or (mvhd := _find(file, b"mvhd", moov)) is None:
            return None
        return _parse_mvhd(file.read(min(32, mvhd - file.tell())))


def _find(file: BinaryIO, wanted: bytes, end: int) -> int | None:
    """Stand at the content of the next box of a kind and return where it ends."""
    while (start := file.tell()) + 8 <= end:
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        stop = end if size == 0 else start + size
        if stop <= start + 7 or stop > end:
            return None
        if kind == wanted:
            return stop
        file.seek(stop)
    return None


def _parse_mvhd(header: bytes) -> float | None:
    if len(header) < 20:
        return None
    if header[0] == 1 and len(header) < 32:
        return None
    scale, length = struct.unpack_from(">IQ", header, 20) if header[0] == 1 else struct.unpack_from(">II", header, 12)
    return float(length / scale) if scale else None
