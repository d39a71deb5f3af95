"""Cleans text from servers and file names, so that logs and terminals get one harmless line."""

from __future__ import annotations

_LONGEST = 2000  # characters


def one_line(text: str, *, longest: int = _LONGEST) -> str:
    """Make one line of a text, without what moves a cursor, reverses the writing direction or cannot be encoded.

    White space becomes single spaces, because a line break in the text would look like another log record.

    :param longest: in characters; the rest is cut.
    """
    line = " ".join(text[: 4 * longest].split())
    cleaned = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    return cleaned if len(cleaned) <= longest else f"{cleaned[:longest]}…"
