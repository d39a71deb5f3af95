"""Checks by its frames whether an MP3, FLAC or Ogg file is whole. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from .byte_source import MAX_PARTS, ByteSource, Completeness, Truncated

# --- MP3 -------------------------------------------------------------------------------------------------------------

_RATES = (44100, 48000, 32000)
_KILOBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By version (2 stands for 2.5, too) and layer."""
_LONGEST_FRAME = 1441 * 2


def mp3(source: ByteSource) -> Completeness:
    """Walk the frames to the end, or trust the byte count in the first frame if there is one.

    :raises Truncated: the file ends before its last frame does.
    """
    at = _skip_id3(source)
    if (promised := _promised_bytes(source.read_at(at, min(_LONGEST_FRAME, max(0, source.size - at))))) is not None:
        source.require(at + promised, "the audio")
        return "whole"
    for _ in range(MAX_PARTS):
        if at == source.size:
            return "whole"
        length = _frame_length(source.read_at(at, 4)) if at + 4 <= source.size else 0
        if not length:  # tags, or junk
            return "whole" if source.read_at(at, min(3, source.size - at)) in {b"TAG", b"APE", b"ID3"} else "unknown"
        source.require(at + length, "the last frame")
        at += length
    return "unknown"


def _skip_id3(source: ByteSource) -> int:
    if source.read_at(0, 3) != b"ID3":
        return 0
    flags, size = source.read_int(5, 1), source.read_at(6, 4)
    length = sum((byte & 0x7F) << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=True))
    source.require(10 + length, "the tag")
    return 10 + length + (10 if flags & 0x10 else 0)


def _promised_bytes(frame: bytes) -> int | None:
    """Return how many bytes the encoder says that there are from this frame on; None if it does not say."""
    if not _frame_length(frame[:4]):
        return None
    for name, flags, count in ((b"Xing", 4, 8), (b"Info", 4, 8), (b"VBRI", None, 10)):
        at = frame.find(name, 4, 64)
        if at < 0 or (flags is not None and not int.from_bytes(frame[at + flags : at + flags + 4], "big") & 2):
            continue
        # A frame count, where there is one, comes before the byte count.
        skip = 4 if flags is not None and int.from_bytes(frame[at + flags : at + flags + 4], "big") & 1 else 0
        return int.from_bytes(frame[at + count + skip : at + count + skip + 4], "big") or None
    return None


def _frame_length(header: bytes) -> int:
    """Return the length of a frame by its header; 0 if this is not a frame header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = (header[1] >> 3) & 3, 4 - ((header[1] >> 1) & 3)
    rate, bits, padding = (header[2] >> 2) & 3, header[2] >> 4, (header[2] >> 1) & 1
    if version == 1 or layer == 4 or rate == 3 or not 0 < bits < 15:
        return 0
    hertz = _RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    speed = _KILOBITS[(1 if version == 3 else 2), layer][bits - 1] * 1000
    if layer == 1:
        return (12 * speed // hertz + padding) * 4
    return (144 if layer == 2 or version == 3 else 72) * speed // hertz + padding


# --- FLAC ------------------------------------------------------------------------------------------------------------

_LARGEST_FRAME = 1 << 20


def flac(source: ByteSource) -> Completeness:
    """Find the last frame: it holds the last sample that the header promises, and its checksum is right.

    :raises Truncated: there is no such frame.
    """
    at, last = 4, False
    info = source.read_at(8, 34)
    while not last:
        head = source.read_int(at, 4)
        last, at = bool(head >> 31), at + 4 + (head & 0xFFFFFF)
    samples = int.from_bytes(info[13:18], "big") & 0xFFFFFFFFF
    if not samples:
        return "unknown"
    tail = source.read_tail((int.from_bytes(info[7:10], "big") or _LARGEST_FRAME) + 256)
    if tail[-128:-125] == b"TAG":
        tail = tail[:-128]
    block = int.from_bytes(info[2:4], "big")
    if any(frame.last(samples, block) and not _crc(tail[frame.at :], 0x8005, 16) for frame in _frames(tail)):
        return "whole"
    raise Truncated("its last frame is missing")


@frozen
class _Frame:
    """A frame header.

    :param number: of the frame, or, in a stream with blocks of different lengths, of its first sample.
    """

    at: int
    number: int
    samples: int
    by_sample: bool

    def last(self, total: int, block: int) -> bool:
        first = self.number if self.by_sample else self.number * block
        return first + self.samples >= total


def _frames(tail: bytes) -> Iterator[_Frame]:
    at = tail.find(b"\xff")
    while at >= 0:
        if tail[at + 1 : at + 2] in {b"\xf8", b"\xf9"} and (frame := _frame(tail, at)) is not None:
            yield frame
        at = tail.find(b"\xff", at + 1)


def _frame(tail: bytes, at: int) -> _Frame | None:
    if len(tail) < at + 16:
        return None
    size, rate = tail[at + 2] >> 4, tail[at + 2] & 15
    length = 8 - (tail[at + 4] ^ 0xFF).bit_length()  # leading ones, as UTF-8 has them
    more = max(0, length - 1)
    number = tail[at + 4] & (0x7F >> length if length else 0x7F)
    for byte in tail[at + 5 : at + 5 + more]:
        number = number << 6 | byte & 0x3F
    end = at + 5 + more
    extra = {6: 1, 7: 2}.get(size, 0)
    samples = int.from_bytes(tail[end : end + extra], "big") + 1 if extra else _BLOCKS.get(size, 0)
    end += extra + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if not samples or end >= len(tail) or _crc(tail[at : end + 1], 0x07, 8):
        return None
    return _Frame(at, number, samples, by_sample=bool(tail[at + 1] & 1))


_BLOCKS = {1: 192, **{code: 576 << (code - 2) for code in range(2, 6)}, **{code: 1 << code for code in range(8, 16)}}


def _crc(data: bytes, polynomial: int, width: int) -> int:
    """Compute a FLAC checksum; over data that ends with its own checksum it is 0."""
    rest, top, mask = 0, 1 << (width - 1), (1 << width) - 1
    for byte in data:
        rest ^= byte << (width - 8)
        for _ in range(8):
            rest = (rest << 1 ^ polynomial if rest & top else rest << 1) & mask
    return rest


# --- Ogg -------------------------------------------------------------------------------------------------------------


def ogg(source: ByteSource) -> Completeness:
    """Walk the pages to the end; the last page of a stream is marked as the last.

    :raises Truncated: the file ends inside a page.
    """
    at, flags = 0, 0
    for _ in range(MAX_PARTS):
        if at == source.size:
            return "whole" if flags & 4 else "unknown"
        head = source.read_at(at, 27)
        if head[:4] != b"OggS":
            return "unknown"
        flags, segments = head[5], source.read_at(at + 27, head[26])
        at += 27 + len(segments) + sum(segments)
        source.require(at, "the last page")
    return "unknown"
