"""Tells by a file's own structure whether it is all there: the one proof where no length was promised. Pure.

A container says how long its parts are, or how it ends. What says neither (text, raw streams) cannot be judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import BinaryIO

from .audio_structure import flac, mp3, ogg
from .byte_source import STEPS, Cut, Source, Verdict
from .filetype import HEAD, guess_kind


def judge(file: BinaryIO, size: int) -> Verdict:
    """Judge a file by what its bytes are, whatever its name says. Blocks: call it off the loop.

    :raises Cut: it ends too early.
    """
    source = Source(file, size)
    kind = guess_kind(source.take(0, min(HEAD, size)))
    follow = _STRUCTURES.get(kind or "")
    return "unjudged" if follow is None else follow(source)


def _boxes(source: Source) -> tuple[list[bytes], bool]:
    """The top boxes of an MP4 file in order, and whether the last goes on to wherever the file ends."""
    kinds: list[bytes] = []
    at = 0
    while at + 8 <= source.size and len(kinds) < STEPS:
        length, kind, head = source.number(at, 4), source.take(at + 4, 4), 8
        if length == 1:
            length, head = source.number(at + 8, 8), 16
        if not all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in kind) or 0 < length < head:
            break  # junk behind the last box
        kinds.append(kind)
        if not length:
            return kinds, True
        at += length
        source.reach(at, f"box {kind.decode('latin-1')!r}")
    return kinds, False


def _film(source: Source) -> Verdict:
    kinds, open_ended = _boxes(source)
    for needed in (b"moov", b"mdat"):
        if needed not in kinds:
            raise Cut(f"it has no box {needed.decode()!r}")
    if b"moof" in kinds:  # fragments, of which more may have been meant to come
        return "whole" if kinds[-1] == b"mfra" else "unjudged"
    return "unjudged" if open_ended else "whole"


def _still(source: Source) -> Verdict:
    kinds, open_ended = _boxes(source)
    if b"meta" not in kinds:
        raise Cut("it has no box 'meta'")
    return "unjudged" if open_ended else "whole"


def _png(source: Source) -> Verdict:
    at = 8
    for _ in range(STEPS):
        length, kind = source.number(at, 4), source.take(at + 4, 4)
        at += 12 + length
        source.reach(at, "a chunk")
        if kind == b"IEND":
            return "whole"
    return "unjudged"


_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})


def _jpeg(source: Source) -> Verdict:
    at = 2
    for _ in range(STEPS):
        lead, marker = source.take(at, 2)
        if lead != 0xFF:
            return "unjudged"
        if marker == 0xD9:
            return "whole"
        if marker == 0xDA:
            # From here on a byte 0xFF of the picture is followed by 0: this pair is the end. Before, a preview has one.
            if source.find(b"\xff\xd9", at):
                return "whole"
            raise Cut("it has no end marker")
        at += 1 if marker == 0xFF else 2 if marker in _BARE_MARKERS else 2 + source.number(at + 2, 2)
    return "unjudged"


def _gif(source: Source) -> Verdict:
    at = 13 + _colours(source.number(10, 1))
    for _ in range(STEPS):
        match source.number(at, 1):
            case 0x3B:
                return "whole"
            case 0x21:
                at += 2
            case 0x2C:
                at += 11 + _colours(source.number(at + 9, 1))
            case _:
                return "unjudged"
        while length := source.number(at, 1):
            at += 1 + length
        at += 1
    return "unjudged"


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _riff(source: Source) -> Verdict:
    at = 0
    for _ in range(STEPS):
        length = source.number(at + 4, 4, little=True)
        if length in {0, 0xFFFFFFFF}:  # written to a pipe: nobody went back to fill it in
            return "unjudged"
        source.reach(at + 8 + length, "a part")
        at += 8 + length + length % 2
        if at + 12 > source.size or source.take(at, 4) != b"RIFF":  # a long AVI has several
            return "whole"
    return "unjudged"


def _glb(source: Source) -> Verdict:
    source.reach(source.number(8, 4, little=True), "the scene")
    return "whole"


def _bmp(source: Source) -> Verdict:
    source.reach(length := source.number(2, 4, little=True), "the picture")
    return "whole" if length else "unjudged"


_END_RECORD = b"PK\x05\x06"


def _zip(source: Source) -> Verdict:
    tail = source.tail(22 + 0xFFFF)
    at = tail.rfind(_END_RECORD)
    if at < 0 or len(tail) - at < 22:
        raise Cut("it has no end record")
    source.reach(source.size - len(tail) + at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little"), "the comment")
    return "whole"


_SEGMENT, _CLUSTER, _CUES = 0x18538067, 0x1F43B675, 0x1C53BB6B


def _matroska(source: Source) -> Verdict:
    at, end = 0, source.size
    seen: set[int] = set()
    for _ in range(STEPS):
        if at >= end:
            break
        kind, at = _vint(source, at, keep=True)
        length, at = _vint(source, at)
        if length is None and kind != _SEGMENT:
            return "unjudged"
        if length is not None:
            source.reach(at + length, "an element")
            if kind == _SEGMENT:
                return "whole"
            at += length
        seen.add(kind or 0)
    # Written to a pipe: the index, which comes last, is the one sign of its end.
    return "whole" if {_CLUSTER, _CUES} <= seen else "unjudged"


def _vint(source: Source, at: int, *, keep: bool = False) -> tuple[int | None, int]:
    """A number of EBML, and where it ends; None for *unknown*.

    :param keep: whether the mark of its length belongs to it, as in an id.
    """
    length = 9 - source.number(at, 1).bit_length()
    if length > 8:
        return None, at + 1
    value = source.number(at, length)
    bare = value & ((1 << (7 * length)) - 1)
    if not keep and bare == (1 << (7 * length)) - 1:
        return None, at + length
    return (value if keep else bare), at + length


_STRUCTURES: Mapping[str, Callable[[Source], Verdict]] = MappingProxyType(
    {
        **dict.fromkeys(("mp4", "mov", "m4a"), _film),
        **dict.fromkeys(("heic", "avif"), _still),
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
