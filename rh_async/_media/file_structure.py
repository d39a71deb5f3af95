"""Checks by a file's own structure whether it is whole: the only proof where no length was promised. Pure.

A container says how long its parts are, or how it ends. For a format that says neither (text, raw streams) the answer
stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import BinaryIO

from .audio_structure import flac, mp3, ogg
from .byte_source import MAX_PARTS, ByteSource, Completeness, Truncated
from .filetype import HEAD, guess_kind


def check_structure(file: BinaryIO, size: int) -> Completeness:
    """Check a file by its content, whatever its name says. Blocks: call it off the event loop.

    :raises Truncated: it ends too early.
    """
    source = ByteSource(file, size)
    kind = guess_kind(source.read_at(0, min(HEAD, size)))
    follow = _STRUCTURES.get(kind or "")
    return "unknown" if follow is None else follow(source)


def _boxes(source: ByteSource) -> tuple[list[bytes], bool]:
    """List the top-level boxes of an MP4 file, and whether the last one ends only where the file does."""
    kinds: list[bytes] = []
    at = 0
    while at + 8 <= source.size and len(kinds) < MAX_PARTS:
        length, kind, head = source.read_int(at, 4), source.read_at(at + 4, 4), 8
        if length == 1:
            length, head = source.read_int(at + 8, 8), 16
        if not all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in kind) or 0 < length < head:
            break  # junk after the last box
        kinds.append(kind)
        if not length:
            return kinds, True
        at += length
        source.require(at, f"box {kind.decode('latin-1')!r}")
    return kinds, False


def _video_boxes(source: ByteSource) -> Completeness:
    kinds, open_ended = _boxes(source)
    for needed in (b"moov", b"mdat"):
        if needed not in kinds:
            raise Truncated(f"it has no box {needed.decode()!r}")
    if b"moof" in kinds:  # fragments, of which more may have been meant to come
        return "whole" if kinds[-1] == b"mfra" else "unknown"
    return "unknown" if open_ended else "whole"


def _image_boxes(source: ByteSource) -> Completeness:
    kinds, open_ended = _boxes(source)
    if b"meta" not in kinds:
        raise Truncated("it has no box 'meta'")
    return "unknown" if open_ended else "whole"


def _png(source: ByteSource) -> Completeness:
    at = 8
    for _ in range(MAX_PARTS):
        length, kind = source.read_int(at, 4), source.read_at(at + 4, 4)
        at += 12 + length
        source.require(at, "a chunk")
        if kind == b"IEND":
            return "whole"
    return "unknown"


_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})


def _jpeg(source: ByteSource) -> Completeness:
    at = 2
    for _ in range(MAX_PARTS):
        lead, marker = source.read_at(at, 2)
        if lead != 0xFF:
            return "unknown"
        if marker == 0xD9:
            return "whole"
        if marker == 0xDA:
            # From here on a 0xFF byte of the picture is followed by 0: this pair is the end. A preview comes before.
            if source.contains_after(b"\xff\xd9", at):
                return "whole"
            raise Truncated("it has no end marker")
        at += 1 if marker == 0xFF else 2 if marker in _BARE_MARKERS else 2 + source.read_int(at + 2, 2)
    return "unknown"


def _gif(source: ByteSource) -> Completeness:
    at = 13 + _colours(source.read_int(10, 1))
    for _ in range(MAX_PARTS):
        match source.read_int(at, 1):
            case 0x3B:
                return "whole"
            case 0x21:
                at += 2
            case 0x2C:
                at += 11 + _colours(source.read_int(at + 9, 1))
            case _:
                return "unknown"
        while length := source.read_int(at, 1):
            at += 1 + length
        at += 1
    return "unknown"


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _riff(source: ByteSource) -> Completeness:
    at = 0
    for _ in range(MAX_PARTS):
        length = source.read_int(at + 4, 4, little=True)
        if length in {0, 0xFFFFFFFF}:  # written to a pipe: the length could not be filled in afterwards
            return "unknown"
        source.require(at + 8 + length, "a part")
        at += 8 + length + length % 2
        if at + 12 > source.size or source.read_at(at, 4) != b"RIFF":  # a long AVI has several
            return "whole"
    return "unknown"


def _glb(source: ByteSource) -> Completeness:
    source.require(source.read_int(8, 4, little=True), "the scene")
    return "whole"


def _bmp(source: ByteSource) -> Completeness:
    source.require(length := source.read_int(2, 4, little=True), "the picture")
    return "whole" if length else "unknown"


_END_RECORD = b"PK\x05\x06"


def _zip(source: ByteSource) -> Completeness:
    tail = source.read_tail(22 + 0xFFFF)
    at = tail.rfind(_END_RECORD)
    if at < 0 or len(tail) - at < 22:
        raise Truncated("it has no end record")
    source.require(source.size - len(tail) + at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little"), "the comment")
    return "whole"


_SEGMENT, _CLUSTER, _CUES = 0x18538067, 0x1F43B675, 0x1C53BB6B


def _matroska(source: ByteSource) -> Completeness:
    at, end = 0, source.size
    seen: set[int] = set()
    for _ in range(MAX_PARTS):
        if at >= end:
            break
        kind, at = _vint(source, at, keep=True)
        length, at = _vint(source, at)
        if length is None and kind != _SEGMENT:
            return "unknown"
        if length is not None:
            source.require(at + length, "an element")
            if kind == _SEGMENT:
                return "whole"
            at += length
        seen.add(kind or 0)
    # Written to a pipe: the index, which comes last, is the only sign of the end.
    return "whole" if {_CLUSTER, _CUES} <= seen else "unknown"


def _vint(source: ByteSource, at: int, *, keep: bool = False) -> tuple[int | None, int]:
    """Read a variable-length EBML number, and the offset after it; None for EBML's *unknown*.

    :param keep: whether the length marker is part of the number, as in an id.
    """
    length = 9 - source.read_int(at, 1).bit_length()
    if length > 8:
        return None, at + 1
    value = source.read_int(at, length)
    bare = value & ((1 << (7 * length)) - 1)
    if not keep and bare == (1 << (7 * length)) - 1:
        return None, at + length
    return (value if keep else bare), at + length


_STRUCTURES: Mapping[str, Callable[[ByteSource], Completeness]] = MappingProxyType(
    {
        **dict.fromkeys(("mp4", "mov", "m4a"), _video_boxes),
        **dict.fromkeys(("heic", "avif"), _image_boxes),
        **dict.fromkeys(("webp", "avi", "wav"), _riff),
        **dict.fromkeys(("webm", "mkv"), _matroska),
        "png": _png,
        "jpg": _jpeg,
        "gif": _gif,
        "bmp": _bmp,
        "glb": _glb,
        "zip": _zip,
        "mp3": mp3,
        "flac": flac,
        "ogg": ogg,
    }
)
