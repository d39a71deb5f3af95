"""Reads the rows of a manifest of JSON lines, of a JSON array, or of TOML. Pure."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Any

from rh_async._batch.planning.path_lookup import strip_invisible
from rh_async.issues import display_text

from .manifest_row import ManifestRow, RowIssue, UnreadableManifest


def json_rows(text: str) -> Iterator[ManifestRow]:
    """Read a JSON object per line, or one JSON value over several lines: an array of objects, or one object.

    :raises UnreadableManifest: it is an array that cannot be read.
    """
    jobs = _whole_file(text)
    if jobs is not None:
        yield from (_row(number, job) for number, job in enumerate(jobs, start=1))
        return
    for line, row in enumerate(text.split("\n"), start=1):
        if strip_invisible(row):
            yield _parse_line(line, strip_invisible(row))


def toml_rows(text: str) -> Iterator[ManifestRow]:
    """Read a ``[[job]]`` table per job.

    :raises UnreadableManifest: it is no TOML, or has other tables.
    """
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UnreadableManifest("broken manifest", f"is no TOML ({error})", "Correct it there") from error
    if unknown := sorted(tables.keys() - {"job"}):
        message = f"has {display_text(unknown[0])!r}"
        raise UnreadableManifest("unknown table", message, "Write one [[job]] table per job")
    jobs = tables.get("job", [])
    if not isinstance(jobs, list):
        raise UnreadableManifest("broken manifest", "has one [job] table", "Write [[job]], once per job")
    yield from (_row(number, job) for number, job in enumerate(jobs, start=1))


def _whole_file(text: str) -> list[Any] | None:
    """Return the jobs of a file that is one JSON value over several lines; None where each line is a value."""
    first, _, rest = text.lstrip().partition("\n")
    if not first.startswith(("[", "{")) or (_is_json(first) and rest.strip()):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if first.startswith("["):
            message = f"is no JSON array ({error})"
            raise UnreadableManifest("broken manifest", message, "Correct it there") from error
        return None  # lines of which the first is broken: the others still make jobs
    return value if isinstance(value, list) else [value]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parse_line(line: int, text: str) -> ManifestRow:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error
        issue = RowIssue("broken row", f"is no JSON ({reason})", "Write one JSON object per line")
        return ManifestRow(line, issue=issue)
    return _row(line, values)


def _row(line: int, values: Any) -> ManifestRow:
    if not isinstance(values, dict):
        issue = RowIssue("broken row", "is no object of columns", "Write columns and their values")
        return ManifestRow(line, issue=issue)
    return ManifestRow(line, {name: value for name, value in values.items() if value is not None and value != ""})
