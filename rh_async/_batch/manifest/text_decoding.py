"""Decodes the bytes of a manifest: UTF-8, UTF-16 or Windows-1252, without the zero bytes that a crash left. Pure."""

from __future__ import annotations

import codecs
import re

from attrs import frozen

from rh_async.issues import display_text

from .manifest_row import RowIssue, UnreadableManifest

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 400  #: bytes in which UTF-16 without a byte order mark shows
_NON_ASCII_WORD = re.compile(r"\S*[^\x00-\x7f]\S*")
_EAST_ASIAN = re.compile(r"[^\x00-\x7f]{4}|[ƒ‚]")
"""Text that is no Windows-1252 but an East Asian encoding: no European word has four letters in a row outside ASCII,
and Japanese kana in Shift-JIS begin with the bytes of these two characters."""
_SAVE_AS_UTF_8 = "Save it as UTF-8 (in Excel: CSV UTF-8)"


@frozen
class DecodedText:
    """A file's text.

    :param warnings: what is doubtful about it.
    :param is_western: whether it was decoded as Windows-1252.
    """

    text: str
    warnings: tuple[RowIssue, ...] = ()
    is_western: bool = False


def decode_text(data: bytes) -> DecodedText:
    """Decode a file.

    Bytes that no encoding explains stay as lone surrogates: they may be the name of a file on this disk.

    :raises UnreadableManifest: the file is not in the encoding that its byte order mark states.
    """
    decoded = _decode(data)
    text = decoded.text.rstrip("\0")
    if zeros := len(decoded.text) - len(text):
        message = f"ends in {zeros:,} zero bytes, as a file that was not written to its end"
        hint = "Look whether its last rows are there, or write it again"
        warning = RowIssue("zeros at the end", message, hint, severity="warning")
        return DecodedText(text, (*decoded.warnings, warning), decoded.is_western)
    return decoded


def _decode(data: bytes) -> DecodedText:
    if encoding := _encoding_by_mark(data) or _encoding_by_zeros(data):
        try:
            return DecodedText(data.decode(encoding).removeprefix("\ufeff"))
        except UnicodeDecodeError as error:
            message = f"is no {encoding.upper()} ({error.reason})"
            raise UnreadableManifest("broken manifest", message, _SAVE_AS_UTF_8) from error
    text = data.decode("utf-8", "surrogateescape")
    undecoded = {character for character in text if "\udc80" <= character <= "\udcff"}
    return _decode_legacy(data, text, undecoded) if undecoded else DecodedText(text)


def _decode_legacy(data: bytes, text: str, undecoded: set[str]) -> DecodedText:
    """Decode what is no UTF-8: as Windows-1252, unless there are signs of another encoding.

    A wrong guess would send a prompt of wrong letters, and the job would be paid; so doubtful bytes stay undecoded,
    which a prompt may not hold.
    """
    has_utf_8 = any(character > "\x7f" for character in set(text) - undecoded)
    try:
        western = "" if has_utf_8 else data.decode("cp1252")
    except UnicodeDecodeError:
        western = ""
    if not western or _EAST_ASIAN.search(western):
        message = "has bytes that are neither UTF-8 nor UTF-16 nor Windows-1252: they can name files, and nothing else"
        return DecodedText(text, (RowIssue("unknown encoding", message, _SAVE_AS_UTF_8, severity="warning"),))
    word = _NON_ASCII_WORD.search(western)
    example = f", for instance {display_text(word[0])!r}" if word else ""
    message = f"is not UTF-8, and was read as Windows-1252{example}"
    warning = RowIssue("not UTF-8", message, f"{_SAVE_AS_UTF_8} to be sure", severity="warning")
    return DecodedText(western, (warning,), is_western=True)


def _encoding_by_mark(data: bytes) -> str | None:
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)), None)


def _encoding_by_zeros(data: bytes) -> str | None:
    """Recognise UTF-16 without a mark: a header's letters are ASCII, so every other byte is zero."""
    sample = data[:_SAMPLE]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) * 4 < len(sample) or min(even, odd):  # zeros in both places: no text, but zeros throughout
        return None
    return ("utf-16-be" if even > odd else "utf-16-le") if sample else None
