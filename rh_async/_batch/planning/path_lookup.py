"""Finds a file by a name that was typed, pasted or exported: with spaces around it, or its accents put together.

Blocks: call it off the loop.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

_INVISIBLE = "\u200b\u200e\u200f\u2060\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\0"
"""Invisible characters that programs put around a path that is copied."""


def compose_accents(name: str) -> str:
    """Return a name in NFC, the form in which names are compared: macOS stores accents apart from their letters."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def strip_invisible(text: str) -> str:
    """Remove spaces, no-break spaces and invisible characters around a text."""
    while (shorter := text.strip().strip(_INVISIBLE)) != text:
        text = shorter
    return text


def find_on_disk(path: Path) -> Path:
    """Return the spelling under which the disk has a file; the same path where it has none."""
    return next((one for one in _spellings(path) if os.path.lexists(one)), path)


def _spellings(path: Path) -> Iterator[Path]:
    text = str(path)
    if not text.isascii():  # else there is one way to write it, and looking into the file will tell whether it is there
        yield path
        yield from (Path(unicodedata.normalize(form, text)) for form in ("NFC", "NFD"))
