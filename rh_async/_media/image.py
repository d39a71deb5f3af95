"""Probes images down to the last pixel, since a cut file shows only there. Needs the ``media`` extra."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from rh_async.issues import InvalidMediaFile

from .media_info import MediaInfo

_ORIENTATION = 0x0112
_ROTATED = frozenset({5, 6, 7, 8})  # orientations of a camera that was held sideways
_NOT_BUILT_IN = frozenset({"heic", "avif"})  # Pillow reads them with a plug-in, or not at all
_DECODING_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, RuntimeError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
_READERS = {
    "jpg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "webp": "WEBP", "avif": "AVIF", "tiff": "TIFF",
}  # fmt: skip
_MAX_DECODED = 64_000_000
"""Pixels of the largest image that is decoded: several are decoded at once, each with up to four bytes a pixel."""
_OTHERS = {
    b"II*\0": "tiff", b"MM\0*": "tiff", b"8BPS": "psd", b"\0\0\0\x0cjP": "jp2", b"\xffO\xffQ": "jp2",
    b"\xff\n": "jxl", b"\0\0\0\x0cJXL": "jxl", b"\0\0\1\0": "ico",
}  # fmt: skip
KINDS = frozenset({"heic", *_READERS, *_OTHERS.values()})


def guess_image_kind(head: bytes) -> str | None:
    """Guess the kinds of image that `guess_kind` does not know: some models take them, and issues can name the rest."""
    return next((kind for start, kind in _OTHERS.items() if head.startswith(start)), None)


def probe_image(path: Path, source: IO[bytes], kind: str, size: int) -> MediaInfo:
    """Find out what an image is. Blocks: call it off the event loop.

    :param source: the open file, at its start.
    :raises InvalidMediaFile: it cannot be decoded to its end.
    """
    if kind in _OTHERS.values() and kind not in _READERS:
        return _undecoded(kind, size)
    try:
        with _open_image(source, kind) as image:
            return _media_info(kind, image, size)
    except _DECODING_ERRORS as error:
        if kind in _NOT_BUILT_IN and isinstance(error, UnidentifiedImageError):
            return _undecoded(kind, size)
        cut = "image file is truncated" in str(error)
        what = "is cut short: its last rows are missing" if cut else f"begins like {kind} but cannot be decoded"
        raise InvalidMediaFile(path, "cut short" if cut else "broken image", what, "Copy or export it again") from error


def _undecoded(kind: str, size: int) -> MediaInfo:
    return MediaInfo(kind=kind, family="image", container=kind, codec=kind, size=size, decoded=False)


def _open_image(source: IO[bytes], kind: str) -> ImageFile:
    """Open an image and read its header.

    `Image.open` would warn about every large photograph, and refuse the largest; the format's reader does neither.
    """
    reader = _READERS.get(kind, "")
    if reader not in Image.OPEN:
        Image.init()
    if reader not in Image.OPEN:
        return Image.open(source)
    factory, accepts = Image.OPEN[reader]
    accepted = accepts is None or accepts(source.read(16))
    source.seek(0)
    if accepted is not True:  # a string says why not
        raise UnidentifiedImageError(accepted or f"no {kind}")
    return factory(source, "")


def _media_info(kind: str, image: ImageFile, size: int) -> MediaInfo:
    decoded = image.width * image.height <= _MAX_DECODED
    shown = _as_shown(image)
    if decoded:
        image.load()
    return MediaInfo(
        kind=kind,
        family="image",
        container=kind,
        codec=(image.format or kind).lower(),
        size=size,
        width=shown[0],
        height=shown[1],
        stored=None if shown == image.size else image.size,
        mode=image.mode,
        alpha=image.has_transparency_data,
        animated=bool(getattr(image, "is_animated", False)) and kind != "jpg",  # cameras add a preview
        decoded=decoded,
    )


def _as_shown(image: ImageFile) -> tuple[int, int]:
    """Return width and height of the upright picture; camera metadata that cannot be parsed turns nothing."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except (*_DECODING_ERRORS, AttributeError):
        orientation = None
    turned = orientation in _ROTATED and image.format != "TIFF"  # whose reader has applied the orientation already
    return (image.height, image.width) if turned else image.size
