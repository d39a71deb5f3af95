"""Holds a plan against the journal before anything is sent: keys of other jobs, and a journal that is not the folder's.

Blocks throughout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import evolve

from rh_async import KeyConflict, SubmissionState
from rh_async._cli.exit_codes import UsageError
from rh_async._cli.options.prerequisites import sha256_of
from rh_async._journal.reader import Row, last_attempts, task_ids
from rh_async._submission.input_comparison import check_same_inputs, new_record
from rh_async.batch import Entry, Issue, LocalFiles, Plan
from rh_async.issues import display_text

_HANDED_OVER = frozenset(
    {SubmissionState.SUBMITTING, SubmissionState.SUBMITTED, SubmissionState.LOST, SubmissionState.SAVED}
)
"""Whoever asks for the key in one of these gets its job; so in ``settled``, if that has a result."""


def with_used_keys(plan: Plan, journal: Path, site: str) -> Plan:
    """The plan, with a finding on each entry whose key was given to a job with other inputs.

    :raises UsageError: a file cannot be read.
    :raises JournalError: the journal cannot.
    """
    keys = [entry.key for entry in plan.ready if entry.key is not None]
    rows = {row.record.key: row for row in last_attempts(journal, site, keys)}
    sha256s: dict[Path, str] = {}
    return evolve(plan, entries=tuple(_judged(entry, rows, sha256s, plan.files) for entry in plan.entries))


def _judged(entry: Entry, rows: Mapping[str, Row], sha256s: dict[Path, str], files: LocalFiles) -> Entry:
    row = rows.get(entry.key or "")
    if row is None or entry.request is None or entry.refused or not _is_handed_over(row):
        return entry
    for path in {media.path for media in entry.request.media()} - sha256s.keys():
        sha256s[path] = sha256_of(path, files)
    try:
        check_same_inputs(row.record, new_record(row.record.key, entry.request, sha256s))
    except KeyConflict as error:
        what = f"its key {display_text(row.record.key)!r} {error.message.removeprefix('the key ')}"
        issue = Issue(rule="key of another job", subject=entry.origin, message=what, hint="Give this job another key")
        return evolve(entry, issues=(*entry.issues, issue))
    return entry


def _is_handed_over(row: Row) -> bool:
    return row.record.state in _HANDED_OVER or (
        row.record.state is SubmissionState.SETTLED and row.result() is not None
    )


def new_journal_words(out: Path, journal: Path, site: str) -> str | None:
    """Say that a journal knows none of the jobs that a folder has the outcomes of; None if it does know some.

    :raises UsageError: what the folder tells cannot be read.
    :raises JournalError: the journal cannot be read.
    """
    told = set(_told_tasks(out / "batch.jsonl"))
    if not told or told & task_ids(journal, site):
        return None
    jobs = "a job" if len(told) == 1 else f"{len(told):,} jobs"
    return f"{out / 'batch.jsonl'} tells of {jobs} that the journal {journal} does not know, and would buy again"


def _told_tasks(lines: Path) -> Iterator[str]:
    try:
        with lines.open("rb") as journal_file:
            for line in journal_file:
                task_id = _task_of(line)
                if task_id:
                    yield task_id
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{lines} cannot be read: {error.strerror or error}; nothing was sent") from error


def _task_of(line: bytes) -> str | None:
    try:
        told = json.loads(line)
    except ValueError:  # the file may be anybody's, and its last line torn
        return None
    task_id = told.get("task_id") if isinstance(told, dict) else None
    return task_id if isinstance(task_id, str) else None
