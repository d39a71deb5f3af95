"""Plans the jobs of a manifest: CSV, JSON lines or TOML, one row per job. Collects the issues of all rows."""

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
from rh_async._batch.planning.prober import Prober
from rh_async.issues import Issue, display_text

from .manifest_row import ManifestRow, RowIssue, UnreadableManifest
from .row_parser import ParsedRow, RowParser
from .table_reader import read_table
from .text_decoding import DecodedText


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
    manifest. A row may fill any column that its model takes. A column that no model takes (a note, the number of a
    shot) changes nothing of the job and goes with it into its outcome. Capital letters, spaces and hyphens in the names
    of columns do not count.

    :param path: a ``.csv`` or ``.tsv`` file as spreadsheets write them (commas, semicolons or tabs; UTF-8, UTF-16 or
        Windows-1252), a ``.jsonl`` or ``.json`` file (an object per line, or an array of them), or ``.toml``.
    :param defaults: by column, for rows that do not fill it and whose model takes it; a `pathlib.Path` is taken as it
        is.
    :param limit: plan only the first so many rows, after shuffling.
    :param shuffle: puts the rows in a random order.
    :param prober: probes the files and caches the results; a new one by default.
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
            return [], [error.issue.issue(display_text(self.path))]
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            issue = RowIssue("unreadable manifest", f"cannot be read ({reason})", "Correct its path or allow it")
            return [], [issue.issue(display_text(self.path))]
        issues = [*table.text.warnings, *_extra_columns(drafts)]
        if not drafts:
            issues.append(RowIssue("empty manifest", "has no rows", "Add one row per job"))
        return drafts, [issue.issue(display_text(self.path)) for issue in issues]

    def _drafts(self, rows: Iterable[tuple[int, ManifestRow]], text: DecodedText) -> Iterator[JobDraft]:
        parser, source = RowParser(self.path.parent, self.defaults, text.is_western), display_text(self.path)
        for number, row in rows:
            parsed = parser.parse(row.values) if row.issue is None else ParsedRow(issues=(row.issue,))
            yield JobDraft(
                number=number,
                source=source,
                line=row.line,
                key=parsed.key,
                request=parsed.request,
                extra_columns=parsed.extra_columns,
                issues=tuple([issue.issue(f"{source}:{row.line}") for issue in parsed.issues]),
            )


def _extra_columns(drafts: Iterable[JobDraft]) -> Iterator[RowIssue]:
    """Warn of the columns that no model takes; once, however many rows fill them."""
    names = list(dict.fromkeys(name for draft in drafts for name in draft.extra_columns))
    if names:
        columns = f"the column{'' if len(names) == 1 else 's'} {', '.join(map(display_text, names))}"
        message = f"no model takes {columns}: carried along into batch.jsonl and the .json of outputs"
        hint = "See --manifest-columns for those that are taken"
        yield RowIssue("columns carried along", message, hint, severity="warning")
