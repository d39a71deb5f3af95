"""Reads the rows of a manifest: CSV as spreadsheets write it, JSON lines, a JSON array, TOML. Blocks."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from rh_async._batch.planning.path_lookup import strip_invisible
from rh_async.issues import display_text

from .row_parser import RowIssue, normalize_column
from .text_decoding import DecodedText, UnreadableManifest, decode_text

_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""How Excel is told which sign separates cells, in a first line of its own."""
_WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".ods", ".numbers"})
_ARCHIVE = b"PK\x03\x04"
_SAVED = " (saved from the workbook as CSV UTF-8)"
_QUOTED = re.compile(r'"[^"]*"')


@frozen
class Row:
    """One job as it is written.

    :param line: where it begins, from 1; of TOML and of a JSON array, the how many-th it is.
    :param values: by column, what was left empty left out.
    :param problem: why it is no row.
    """

    line: int
    values: Mapping[str, Any] = field(factory=dict)
    problem: RowIssue | None = None


@frozen
class Table:
    """A manifest's text, and its rows.

    :param text: as it was read.  :param rows: reads them as they are asked for; may raise `UnreadableManifest`.
    """

    text: DecodedText
    rows: Callable[[], Iterator[Row]]


def read_table(path: Path) -> Table:
    """Read a manifest.

    :raises UnreadableManifest: it is none.
    :raises OSError: it cannot be read.
    """
    suffix = path.suffix.lower()
    rows = _FORMATS.get(suffix)
    if rows is None:
        hint = f"Give a .csv{_SAVED if suffix in _WORKBOOKS else ''}, .jsonl or .toml"
        raise UnreadableManifest(RowIssue("kind of manifest", "is no manifest by its suffix", hint))
    data = path.read_bytes()
    if data.startswith(_ARCHIVE):
        what = "is a workbook or an archive by its content, whatever its name says"
        raise UnreadableManifest(RowIssue("kind of manifest", what, f"Give a .csv{_SAVED}"))
    text = decode_text(data)
    return Table(text, lambda: rows(text.text))


def _csv_rows(text: str, *, tabs: bool = False) -> Iterator[Row]:
    first, _, rest = text.partition("\n")
    if told := _SEPARATOR.fullmatch(first):
        yield from _separated(rest, told[1], before=1)
    else:
        bare = _QUOTED.sub("", next(filter(strip_invisible, text.split("\n")), ""))
        yield from _separated(text, "\t" if tabs and "\t" in bare else max(",;\t", key=bare.count))


def _separated(text: str, separator: str, before: int = 0) -> Iterator[Row]:
    cells = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header = _header(cells)
    while True:
        line = cells.line_num + 1 + before
        try:
            row = next(cells, None)
        except csv.Error as error:
            yield Row(line, problem=RowIssue("broken row", f"cannot be read ({error})", "Look for a lone quote"))
            continue
        if row is None:
            return
        if any(map(strip_invisible, row)):  # a spreadsheet writes rows that were once filled, too
            yield _csv_row(line, header, row)


def _header(cells: Iterator[list[str]]) -> Sequence[str]:
    try:
        first = next((row for row in cells if any(map(strip_invisible, row))), [])
    except csv.Error as error:
        raise UnreadableManifest(
            RowIssue("broken manifest", f"has a header that cannot be read ({error})", "Rewrite it")
        ) from error
    names = [strip_invisible(cell) for cell in first]
    if not names:
        raise UnreadableManifest(RowIssue("empty manifest", "has no header", "Begin with a line of column names"))
    plainly = [normalize_column(name) for name in names]
    twice = sorted({name for name, one in zip(names, plainly, strict=True) if one and plainly.count(one) > 1})
    if twice:
        raise UnreadableManifest(
            RowIssue("column twice", f"has column {display_text(twice[0])} twice", "Remove one of them")
        )
    return [name or f"column {number}" for number, name in enumerate(names, start=1)]


def _csv_row(line: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    filled = max(number for number, cell in enumerate(cells, start=1) if strip_invisible(cell))
    if filled > len(header):
        what = f"has {filled} cells, the header {len(header)}"
        return Row(line, problem=RowIssue("too many cells", what, "Put what holds commas in quotes"))
    return Row(line, {name: cell for name, cell in zip(header, cells, strict=False) if strip_invisible(cell)})


def _tsv_rows(text: str) -> Iterator[Row]:
    return _csv_rows(text, tabs=True)


def _json_rows(text: str) -> Iterator[Row]:
    whole = _whole_json(text)
    if whole is not None:
        yield from (_object(place, job) for place, job in enumerate(whole, start=1))
        return
    for line, row in enumerate(text.split("\n"), start=1):
        if strip_invisible(row):
            yield _json_row(line, strip_invisible(row))


def _whole_json(text: str) -> list[Any] | None:
    """The jobs of a file that is one JSON value over several lines; None where each line is one."""
    first, _, rest = text.lstrip().partition("\n")
    if not first.startswith(("[", "{")) or (_is_json(first) and rest.strip()):
        return None
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        if first.startswith("["):
            raise UnreadableManifest(
                RowIssue("broken manifest", f"is no JSON array ({error})", "Correct it there")
            ) from error
        return None
    return whole if isinstance(whole, list) else [whole]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json_row(line: int, text: str) -> Row:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else error
        return Row(line, problem=RowIssue("broken row", f"is no JSON ({why})", "Write one JSON object per line"))
    return _object(line, values)


def _object(line: int, values: Any) -> Row:
    if not isinstance(values, dict):
        return Row(line, problem=RowIssue("broken row", "is no object of columns", "Write columns and their values"))
    return Row(line, {name: value for name, value in values.items() if value is not None and value != ""})


def _toml_rows(text: str) -> Iterator[Row]:
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UnreadableManifest(RowIssue("broken manifest", f"is no TOML ({error})", "Correct it there")) from error
    if others := sorted(tables.keys() - {"job"}):
        raise UnreadableManifest(
            RowIssue("unknown table", f"has {display_text(others[0])!r}", "Write one [[job]] table per job")
        )
    jobs = tables.get("job", [])
    if not isinstance(jobs, list):
        raise UnreadableManifest(RowIssue("broken manifest", "has one [job] table", "Write [[job]], once per job"))
    yield from (_object(place, job) for place, job in enumerate(jobs, start=1))


_FORMATS: Mapping[str, Callable[[str], Iterator[Row]]] = MappingProxyType(
    {
        ".csv": _csv_rows,
        ".tsv": _tsv_rows,
        ".tab": _tsv_rows,
        ".txt": _csv_rows,
        ".jsonl": _json_rows,
        ".ndjson": _json_rows,
        ".json": _json_rows,
        ".toml": _toml_rows,
    }
)
