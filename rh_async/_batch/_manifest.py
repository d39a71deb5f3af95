"""A plan from a manifest: CSV, JSONL or TOML, one row per job. The problems of all rows are gathered."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from ._entries import Plan
from ._findings import Finding, shown
from ._judge import Draft, chosen, judged
from ._prober import Prober
from ._rows import Made, Problem, Reader

_BREAK = "\n"


@frozen
class Row:
    """One job as it is written.

    :param line: where it begins, from 1; of a TOML manifest, which of its tables.
    :param values: by column, what was left empty left out.
    :param problem: why it is no row.
    """

    line: int
    values: Mapping[str, Any] = field(factory=dict)
    problem: Problem | None = None


class Illegible(Exception):
    """A manifest of which nothing can be read; the problem is its argument."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


async def plan_manifest(
    path: str | os.PathLike[str],
    *,
    defaults: Mapping[str, Any] | None = None,
    limit: int | None = None,
    shuffle: Random | None = None,
    prober: Prober | None = None,
) -> Plan:
    """Plan a job for every row; what is wrong is in the plan, not raised.

    Columns: ``model`` (as `KlingMotionControl` names it, ``dreamactor-v2``, ``wan2.2`` or any endpoint), ``key``,
    ``webhook_url``, and the fields of the model's request; of an endpoint, its wire fields. Files are relative to the
    manifest. A row may ask for anything its model takes, and for nothing else.

    :param path: a ``.csv``, ``.tsv``, ``.jsonl`` or ``.toml`` file, in UTF-8.
    :param defaults: by column, for rows that do not say and whose model takes it; a `pathlib.Path` is taken as it is.
    :param limit: the first so many rows, after shuffling.
    :param shuffle: puts the rows in an order of its own.
    :param prober: looks into the files, and remembers; a new one by default.
    :raises ConfigurationError: the ``media`` extra is not installed.
    """
    manifest = _Manifest(Path(path), defaults or {})
    drafts, findings = await asyncio.to_thread(manifest.drafts, limit, shuffle)
    return await judged(drafts, findings, prober)


@frozen
class _Manifest:
    path: Path
    defaults: Mapping[str, Any]

    def drafts(self, limit: int | None, shuffle: Random | None) -> tuple[list[Draft], list[Finding]]:
        try:
            rows = chosen(enumerate(self._rows(), start=1), limit=limit, shuffle=shuffle)
            drafts = list(self._drafts(rows))
        except Illegible as error:
            return [], [error.problem.finding(shown(self.path))]
        except OSError as error:
            lost = Problem("unreadable manifest", f"cannot be read ({error.strerror})", "Correct its path or allow it")
            return [], [lost.finding(shown(self.path))]
        empty = Problem("empty manifest", "has no rows", "Add one row per job")
        return drafts, [] if drafts else [empty.finding(shown(self.path))]

    def _rows(self) -> Iterator[Row]:
        rows = _FORMATS.get(self.path.suffix.lower())
        if rows is None:
            raise Illegible(Problem("kind of manifest", "is no manifest by its suffix", "Give a .csv, .jsonl or .toml"))
        yield from rows(self.path)

    def _drafts(self, rows: Iterable[tuple[int, Row]]) -> Iterator[Draft]:
        reader, source = Reader(self.path.parent, self.defaults), shown(self.path)
        for number, row in rows:
            made = reader.read(row.values) if row.problem is None else Made(problems=(row.problem,))
            findings = tuple([problem.finding(f"{source}:{row.line}") for problem in made.problems])
            yield Draft(
                number=number, source=source, line=row.line, key=made.key, request=made.request, findings=findings
            )


def _csv_rows(path: Path) -> Iterator[Row]:
    # Bytes that are no UTF-8 pass as they are: they may well be a file's name.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as source:
        first = source.readline()
        source.seek(0)
        cells = csv.reader(source, delimiter=max(",;\t", key=first.count))
        header = _header(cells)
        while True:
            line = cells.line_num + 1
            try:
                row = next(cells, None)
            except csv.Error as error:
                yield Row(line, problem=Problem("broken row", f"cannot be read ({error})", "Look for a lone quote"))
                continue
            if row is None:
                return
            if row:
                yield _csv_row(line, header, row)


def _header(cells: Iterator[list[str]]) -> Sequence[str]:
    try:
        names = [cell.strip() for cell in next(cells, [])]
    except csv.Error as error:
        raise Illegible(
            Problem("broken manifest", f"has a header that cannot be read ({error})", "Rewrite it")
        ) from error
    if not any(names):
        raise Illegible(Problem("empty manifest", "has no header", "Begin with a line of column names"))
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise Illegible(Problem("column twice", f"has column {shown(twice[0])} twice", "Remove one of them"))
    return names


def _csv_row(line: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) > len(header):
        what = f"has {len(cells)} cells, the header {len(header)}"
        return Row(line, problem=Problem("too many cells", what, "Put what holds commas in quotes"))
    return Row(line, {name: cell for name, cell in zip(header, cells, strict=False) if cell})


def _json_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline=_BREAK) as source:
        for line, text in enumerate(source, start=1):
            if text.strip():
                yield _json_row(line, text)


def _json_row(line: int, text: str) -> Row:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else error
        return Row(line, problem=Problem("broken row", f"is no JSON ({why})", "Write one JSON object per line"))
    return _object(line, values)


def _object(line: int, values: Any) -> Row:
    if not isinstance(values, dict):
        return Row(line, problem=Problem("broken row", "is no object of columns", "Write columns and their values"))
    return Row(line, {name: value for name, value in values.items() if value is not None and value != ""})


def _toml_rows(path: Path) -> Iterator[Row]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig", errors="surrogateescape"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Illegible(Problem("broken manifest", f"is no TOML ({error})", "Correct it there")) from error
    if others := sorted(tables.keys() - {"job"}):
        raise Illegible(Problem("unknown table", f"has {shown(others[0])!r}", "Write one [[job]] table per job"))
    jobs = tables.get("job", [])
    if not isinstance(jobs, list):
        raise Illegible(Problem("broken manifest", "has one [job] table", "Write [[job]], once per job"))
    yield from (_object(place, job) for place, job in enumerate(jobs, start=1))


_FORMATS: Mapping[str, Callable[[Path], Iterator[Row]]] = MappingProxyType(
    {".csv": _csv_rows, ".tsv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows, ".toml": _toml_rows}
)
