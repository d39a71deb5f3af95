"""Reads the rows of a CSV or TSV manifest, with the separators and the empty rows that spreadsheets write. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from attrs import define, field

from rh_async._batch.planning.path_lookup import strip_invisible
from rh_async.issues import display_text

from .manifest_row import ManifestRow, RowIssue, UnreadableManifest, normalize_column

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""The line that tells Excel which character separates cells; it may stand before the header."""
_QUOTED = re.compile(r'"[^"]*"')


def csv_rows(text: str, *, prefers_tabs: bool = False) -> Iterator[ManifestRow]:
    """Read the rows of a table whose cells stand between commas, semicolons or tabs.

    :param prefers_tabs: whether a header that has a tab is separated by tabs, however many commas it has, too.
    :raises UnreadableManifest: the header cannot be read.
    """
    first, _, rest = text.partition("\n")
    if stated := _SEPARATOR_LINE.fullmatch(first):
        yield from _Table(rest, stated[1], lines_before=1).rows()
        return
    # The separator is the most frequent one of the header; those inside quotes belong to a column's name.
    header = _QUOTED.sub("", next(filter(strip_invisible, text.split("\n")), ""))
    separator = "\t" if prefers_tabs and "\t" in header else max(",;\t", key=header.count)
    yield from _Table(text, separator).rows()


def tsv_rows(text: str) -> Iterator[ManifestRow]:
    """Read the rows of a ``.tsv`` file, which some programs write with commas all the same."""
    return csv_rows(text, prefers_tabs=True)


@define
class _Table:
    text: str
    separator: str
    lines_before: int = 0
    _lines: Sequence[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._lines = list(io.StringIO(self.text, newline=""))  # "": a line break inside a cell stays as it is

    def rows(self) -> Iterator[ManifestRow]:
        rows = self._filled_rows()
        _, first = next(rows, (0, list[str]()))
        header = _header(first)
        for line, row in rows:
            yield ManifestRow(line, issue=row) if isinstance(row, RowIssue) else _row(line, header, row)

    def _filled_rows(self) -> Iterator[tuple[int, list[str] | RowIssue]]:
        """Read every row that has a filled cell, with its line; a row that cannot be read does not end the reading."""
        reader = csv.reader(self._lines, delimiter=self.separator)
        while True:
            start, line = reader.line_num, reader.line_num + 1 + self.lines_before
            try:
                row = next(reader, None)
            except csv.Error as error:
                yield line, RowIssue("broken row", f"cannot be read ({error})", "Look for a lone quote")
                continue
            if row is None:
                return
            if self._has_unclosed_quote(start, reader.line_num):
                yield line, _unclosed_quote(line, reader.line_num + self.lines_before)
            elif any(map(strip_invisible, row)):  # spreadsheets also write rows that were filled once and then cleared
                yield line, row

    def _has_unclosed_quote(self, start: int, stop: int) -> bool:
        """Whether a quote of the row in these lines stays open until another row's quote, or the end, closes it.

        The csv module takes all rows between for one cell: their jobs would be missing from the plan, and the cell,
        with their text in it, would be submitted and paid. A prompt may have several lines, so their number proves
        nothing; but a quote that another row's quote has closed is followed by that row's text.
        """
        lines = self._lines[start:stop]
        if stop == len(self._lines):
            reader = csv.reader([*lines, ""], delimiter=self.separator)
            next(reader)
            if reader.line_num > len(lines):  # the row would go on if there were another line
                return True
        if len(lines) == 1:
            return False
        try:
            next(csv.reader(lines, delimiter=self.separator, strict=True))
        except csv.Error:
            return True
        return False


def _unclosed_quote(first: int, last: int) -> RowIssue:
    message = "opens a quote that is never closed"
    if last > first:
        message = f"opens a quote that its cell does not close: lines {first:,} to {last:,} read as one row"
    return RowIssue("unclosed quote", message, 'Close it at the end of its cell; a " inside quotes is written ""')


def _header(row: list[str] | RowIssue) -> Sequence[str]:
    if isinstance(row, RowIssue):
        raise UnreadableManifest(row.rule, f"has a header that {row.message}", row.hint)
    names = [strip_invisible(cell) for cell in row]
    if not names:
        raise UnreadableManifest("empty manifest", "has no header", "Begin with a line of column names")
    compared = [normalize_column(name) for name in names]
    twice = sorted({name for name, one in zip(names, compared, strict=True) if one and compared.count(one) > 1})
    if twice:
        raise UnreadableManifest("column twice", f"has column {display_text(twice[0])} twice", "Remove one of them")
    return [name or f"column {number}" for number, name in enumerate(names, start=1)]


def _row(line: int, header: Sequence[str], cells: Sequence[str]) -> ManifestRow:
    filled = max(number for number, cell in enumerate(cells, start=1) if strip_invisible(cell))
    if filled > len(header):
        message = f"has {filled} cells, the header {len(header)}"
        return ManifestRow(line, issue=RowIssue("too many cells", message, "Put what holds commas in quotes"))
    return ManifestRow(line, {name: cell for name, cell in zip(header, cells, strict=False) if strip_invisible(cell)})
