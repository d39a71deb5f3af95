"""Holds the values that the stages of reading a manifest pass on: rows, their issues, a manifest's failure. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from attrs import field, frozen

from rh_async._batch.planning.path_lookup import strip_invisible
from rh_async.issues import Issue, Severity, display_text


@frozen
class RowIssue:
    """A problem of a row, found where the file and the line are not known; the fields are those of `Issue`."""

    rule: str
    message: str
    hint: str
    column: str = ""
    severity: Severity = "error"

    def issue(self, where: str) -> Issue:
        """Make the issue that also names the file, the line and the column."""
        subject = f"{where}, column {display_text(self.column)}" if self.column else where
        return Issue(rule=self.rule, subject=subject, message=self.message, hint=self.hint, severity=self.severity)


@frozen
class ManifestRow:
    """One job as the manifest states it.

    :param line: the line where the row begins, from 1; in TOML and in a JSON array, the number of the job.
    :param values: by column, without cells that are empty.
    :param issue: why the row cannot be read; its values are then empty.
    """

    line: int
    values: Mapping[str, Any] = field(factory=dict)
    issue: RowIssue | None = None


class UnreadableManifest(Exception):
    """Raised for a manifest from which no row can be read.

    :ivar issue: why.
    """

    def __init__(self, rule: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.issue = RowIssue(rule, message, hint)


@lru_cache(10_000)
def normalize_column(column: str) -> str:
    """Return the form in which names of columns are compared: spaces, hyphens and capital letters do not count."""
    return re.sub(r"[\s-]+", "_", strip_invisible(column)).casefold()
