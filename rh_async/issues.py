"""Describes what is wrong with an input in one line: the subject, the message and a hint."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Literal

from attrs import frozen

from rh_async.errors import InvalidMedia

Severity = Literal["error", "warning"]
"""Whether an issue stops its job, or is reported while the job goes on."""

_MAX_LENGTH = 160  # characters


@frozen(kw_only=True)
class Issue:
    """Describe one problem of an input.

    :param rule: the rule that is broken, worded the same for every input that breaks it: issues are grouped by it.
    :param subject: a file, or a row and column of a manifest.
    :param message: what is wrong with the subject.
    :param hint: what to do.
    :param severity: an error stops the job; a warning does not.
    """

    rule: str
    subject: str
    message: str
    hint: str
    severity: Severity = "error"

    @property
    def is_error(self) -> bool:
        """Whether the issue stops its job."""
        return self.severity == "error"

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}. {self.hint}."

    def line(self, origin: str) -> str:
        """Write the issue as a line that also names the manifest's row.

        :param origin: manifest and line number; "" where the issue belongs to no row.
        """
        line = str(self)
        return line if line.startswith(origin) else f"{origin}: {line}"


class InvalidMediaFile(InvalidMedia):
    """Report a local file that no model takes.

    :ivar issue: the same as a value.
    """

    def __init__(self, path: PurePath, rule: str, message: str, hint: str) -> None:
        self.issue = Issue(rule=rule, subject=display_text(path), message=message, hint=hint)
        super().__init__(f"{self.issue.subject}: {message}", advice=f"{hint}; nothing was submitted.")


def display_text(value: str | PurePath) -> str:
    """Make a name or value fit for one line: escape what cannot be printed, and cut the middle of a long text."""
    text = "".join(sign if sign.isprintable() else _escape(sign) for sign in os.fspath(value))
    half = _MAX_LENGTH // 2 - 1
    return text if len(text) <= _MAX_LENGTH else f"{text[:half]}…{text[-half:]}"


def _escape(sign: str) -> str:
    # A byte that is not UTF-8 stands in a file name as a lone surrogate.
    return f"\\x{ord(sign) - 0xDC00:02x}" if "\udc80" <= sign <= "\udcff" else ascii(sign)[1:-1]
