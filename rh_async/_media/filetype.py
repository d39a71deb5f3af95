"""Guesses a file's kind from its first bytes. Pure: a file's name may be wrong, its first bytes seldom are."""

from __future__ import annotations

HEAD = 64
"""How many bytes `guess_kind` needs."""

_BRANDS = {b"qt  ": "mov", b"heic": "heic", b"heix": "heic", b"mif1": "heic", b"avif": "avif", b"M4A ": "m4a"}
_STARTS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"PK\x03\x04": "zip",
    b"fLaC": "flac",
    b"ID3": "mp3",
    **dict.fromkeys((b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2"), "mp3"),
    b"OggS": "ogg",
    b"glTF": "glb",
}
_RIFF = {b"WEBP": "webp", b"AVI ": "avi", b"WAVE": "wav"}


def guess_kind(head: bytes) -> str | None:
    """Guess the kind of file, as its usual extension; None for a kind that RunningHub neither takes (contract 5.1) nor
    makes.
    """
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "mp4")
    if head[4:8] in {b"moov", b"mdat", b"wide"}:  # QuickTime older than brands
        return "mov"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "webm" if b"webm" in head else "mkv"
    return next((kind for start, kind in _STARTS.items() if head.startswith(start)), None)
