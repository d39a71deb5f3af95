"""Cleans what ``--debug`` prints: a server's text may have escape sequences, which a terminal would execute."""

from __future__ import annotations

import logging

_MAX_LENGTH = 2000  # characters of one line


def clean_lines(text: str) -> str:
    """Replace control characters, and cut what is too long, line by line.

    The text keeps its line breaks: a traceback has many. A record's own text has had its breaks replaced before.
    """
    return "\n".join(_clean(line) for line in text.split("\n"))


class CleanFormatter(logging.Formatter):
    """Formats a log record so that its message is one line, and has no control characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        """Put the message on one line: a forged line break would look like another record."""
        return _clean(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Clean what follows the message, too: a traceback quotes the exception's text."""
        return clean_lines(super().format(record))


def _clean(line: str) -> str:
    cleaned = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    return cleaned if len(cleaned) <= _MAX_LENGTH else f"{cleaned[:_MAX_LENGTH]}…"
