"""A plan from a manifest: CSV, JSONL or TOML, one row per job. The problems of all rows are gathered."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from attrs import frozen

from rh_async._batch.planning.plan import Plan
from rh_async._batch.planning.plan_builder import JobDraft, build_plan, select_items
from rh_async._media.prober import Prober
from rh_async.issues import Issue, display_text

from .row_parser import ParsedRow, RowIssue, RowParser
from .table_reader import Row, read_table
from .text_decoding import DecodedText, UnreadableManifest


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
    manifest. A row may ask for anything its model takes; columns of its author's own (a note, the number of a shot) ask
    for nothing and go with the job into its outcome. Large letters, spaces and hyphens make no other column.

    :param path: a ``.csv`` or ``.tsv`` file as spreadsheets write them (commas, semicolons or tabs; UTF-8, UTF-16 or
        Windows-1252), a ``.jsonl`` or ``.json`` file (an object per line, or an array of them), or ``.toml``.
    :param defaults: by column, for rows that do not say and whose model takes it; a `pathlib.Path` is taken as it is.
    :param limit: the first so many rows, after shuffling.
    :param shuffle: puts the rows in an order of its own.
    :param prober: looks into the files, and remembers; a new one by default.
    :raises ConfigurationError: the ``media`` extra is not installed.
    """
    manifest = _Manifest(Path(path), defaults or {})
    drafts, issues = await asyncio.to_thread(manifest.drafts, limit, shuffle)
    return await build_plan(drafts, issues, prober)


@frozen
class _Manifest:
    path: Path
    defaults: Mapping[str, Any]

    def drafts(self, limit: int | None, shuffle: Random | None) -> tuple[list[JobDraft], list[Issue]]:
        try:
            table = read_table(self.path)
            rows = select_items(enumerate(table.rows(), start=1), limit=limit, shuffle=shuffle)
            drafts = list(self._drafts(rows, table.text))
        except UnreadableManifest as error:
            return [], [error.problem.issue(display_text(self.path))]
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            lost = RowIssue("unreadable manifest", f"cannot be read ({why})", "Correct its path or allow it")
            return [], [lost.issue(display_text(self.path))]
        problems = [*table.text.doubts, *_carried(drafts)]
        if not drafts:
            problems.append(RowIssue("empty manifest", "has no rows", "Add one row per job"))
        return drafts, [problem.issue(display_text(self.path)) for problem in problems]

    def _drafts(self, rows: Iterable[tuple[int, Row]], text: DecodedText) -> Iterator[JobDraft]:
        reader, source = RowParser(self.path.parent, self.defaults, text.is_western), display_text(self.path)
        for number, row in rows:
            made = reader.read(row.values) if row.problem is None else ParsedRow(problems=(row.problem,))
            issues = tuple([problem.issue(f"{source}:{row.line}") for problem in made.problems])
            yield JobDraft(
                number=number,
                source=source,
                line=row.line,
                key=made.key,
                request=made.request,
                columns=made.others,
                issues=issues,
            )


def _carried(drafts: Iterable[JobDraft]) -> Iterator[RowIssue]:
    """That some columns ask for nothing; once, however many rows have them."""
    names = list(dict.fromkeys(name for draft in drafts for name in draft.columns))
    if names:
        listed = ", ".join(map(display_text, names))
        what = (
            f"no model takes {_columns(len(names))} {listed}: carried along into batch.jsonl and the .json of outputs"
        )
        hint = "See --manifest-columns for those that are taken"
        yield RowIssue("columns carried along", what, hint, severity="warning")


def _columns(count: int) -> str:
    return "the column" if count == 1 else "the columns"
