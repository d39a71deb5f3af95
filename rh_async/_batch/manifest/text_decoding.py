"""Reads a text file whatever wrote it: UTF-8, UTF-16 or Windows-1252, and with the zeros that a crash left at its end.

Pure.
"""

from __future__ import annotations

import codecs
import re

from attrs import frozen

from rh_async.issues import display_text

from .row_parser import RowIssue

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOOKED_AT = 400  #: bytes in which UTF-16 without its mark shows
_WORD = re.compile(r"\S*[^\x00-\x7f]\S*")
_FAR_EASTERN = re.compile(r"[^\x00-\x7f]{4}|[ƒ‚]")
"""Four such signs in a row are no European word, but Chinese in an encoding of its own; the two begin Japanese kana."""
_REMEDY = "Save it as UTF-8 (in Excel: CSV UTF-8)"
_LOST = "Look whether its last rows are there, or write it again"


@frozen
class DecodedText:
    """What a file says, and what is doubtful about it.

    :param is_western: whether it was read as Windows-1252.
    """

    text: str
    doubts: tuple[RowIssue, ...] = ()
    is_western: bool = False


class UnreadableManifest(Exception):
    """A manifest of which nothing can be read; the problem is its argument."""

    def __init__(self, problem: RowIssue) -> None:
        super().__init__(problem)
        self.problem = problem


def decode_text(data: bytes) -> DecodedText:
    """Read a file's bytes as text.

    Bytes that no encoding explains pass as they are, as lone surrogates: they may well be a file's name.

    :raises UnreadableManifest: it says by its mark which encoding it has, and is not in it.
    """
    text, doubts, is_western = _read(data)
    whole = text.rstrip("\0")
    if zeros := len(text) - len(whole):
        what = f"ends in {zeros:,} zero bytes, as a file that was not written to its end"
        doubts = (*doubts, RowIssue("zeros at the end", what, _LOST, severity="warning"))
    return DecodedText(whole, doubts, is_western)


def _read(data: bytes) -> tuple[str, tuple[RowIssue, ...], bool]:
    if encoding := _told_by_mark(data) or _told_by_zeros(data):
        try:
            return data.decode(encoding).removeprefix("\ufeff"), (), False
        except UnicodeDecodeError as error:
            raise UnreadableManifest(
                RowIssue("broken manifest", f"is no {encoding.upper()} ({error.reason})", _REMEDY)
            ) from error
    text = data.decode("utf-8", "surrogateescape")
    unknown = [sign for sign in text if "\udc80" <= sign <= "\udcff"]
    return (text, (), False) if not unknown else _read_legacy(data, text, unknown)


def _read_legacy(data: bytes, text: str, unknown: list[str]) -> tuple[str, tuple[RowIssue, ...], bool]:
    """What is no UTF-8: Windows-1252 where nothing speaks against it."""
    has_utf_8 = any(sign > "\x7f" for sign in set(text).difference(unknown))
    try:
        western = "" if has_utf_8 else data.decode("cp1252")
    except UnicodeDecodeError:
        western = ""
    if not western or _FAR_EASTERN.search(western):
        what = "has bytes that are neither UTF-8 nor UTF-16 nor Windows-1252: they can name files, and nothing else"
        return text, (RowIssue("unknown encoding", what, _REMEDY, severity="warning"),), False
    word = _WORD.search(western)
    example = f", for instance {display_text(word[0])!r}" if word else ""
    what = f"is not UTF-8, and was read as Windows-1252{example}"
    return western, (RowIssue("not UTF-8", what, f"{_REMEDY} to be sure", severity="warning"),), True


def _told_by_mark(data: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)


def _told_by_zeros(data: bytes) -> str | None:
    """UTF-16 by every other byte: a text begins with letters of a header, each beside a zero."""
    head = data[:_LOOKED_AT]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) * 4 < len(head) or min(even, odd):  # or it is zeros throughout
        return None
    return ("utf-16-be" if even > odd else "utf-16-le") if head else None
