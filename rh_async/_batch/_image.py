"""Looks into images down to the last pixel, since a cut file shows only there. Needs the ``media`` extra."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ._facts import Facts
from ._findings import Unfit

_ORIENTATION = 0x0112
_LYING = frozenset({5, 6, 7, 8})  # the camera was held sideways
_NOT_BUILT_IN = frozenset({"heic", "avif"})  # Pillow reads them with a plug-in, or not at all
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error)


def other_kind(path: Path) -> str | None:
    """``tiff`` if it is one: a kind that some models take and `kind_of` does not tell."""
    try:
        with Image.open(path, formats=["TIFF"]):
            return "tiff"
    except (Image.DecompressionBombError, *_BROKEN):
        return None


def look(path: Path, kind: str) -> Facts:
    """Find out what an image is. Blocks: call it off the loop.

    :raises Unfit: it cannot be decoded to its end.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return _facts(path, kind, image)
    except Image.DecompressionBombError as error:
        raise Unfit(path, "image too large", f"is too large to be opened safely: {error}", "Scale it down") from error
    except _BROKEN as error:
        if kind in _NOT_BUILT_IN and isinstance(error, UnidentifiedImageError):
            return Facts(kind=kind, family="image", container=kind, codec=kind, size=path.stat().st_size)
        cut = "image file is truncated" in str(error)
        what = "is cut short: its last rows are missing" if cut else f"begins like a {kind} but cannot be decoded"
        raise Unfit(path, "cut short" if cut else "broken image", what, "Copy or export it again") from error


def _facts(path: Path, kind: str, image: Image.Image) -> Facts:
    width, height = image.size
    if image.getexif().get(_ORIENTATION) in _LYING:
        width, height = height, width
    return Facts(
        kind=kind,
        family="image",
        container=kind,
        codec=(image.format or kind).lower(),
        size=path.stat().st_size,
        width=width,
        height=height,
        mode=image.mode,
        alpha=image.has_transparency_data,
        animated=bool(getattr(image, "is_animated", False)) and kind != "jpg",  # cameras put a preview beside
    )
