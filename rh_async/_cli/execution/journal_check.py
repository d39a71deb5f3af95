"""Compares a plan with the journal before anything is sent: keys of other jobs, a journal that is not the folder's.

Blocks throughout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import evolve

from rh_async._cli.exit_codes import UsageError
from rh_async._cli.options.prerequisites import sha256_of
from rh_async._journal.reader import Row, last_attempts, task_ids
from rh_async._submission.input_comparison import check_same_inputs, new_record
from rh_async.batch import Entry, Issue, LocalFiles, Plan
from rh_async.errors import KeyConflict
from rh_async.issues import display_text
from rh_async.journal import SubmissionState

_KEPT_STATES = frozenset(
    {SubmissionState.SUBMITTING, SubmissionState.SUBMITTED, SubmissionState.LOST, SubmissionState.SAVED}
)
"""A job with the same key gets the result of one in these states; so in ``settled``, if that has a result."""


def with_used_keys(plan: Plan, journal: Path, site: str) -> Plan:
    """Return the plan, with an issue on each entry whose key was given to a job with other inputs.

    :raises UsageError: a file cannot be read.
    :raises JournalError: the journal cannot.
    """
    keys = [entry.key for entry in plan.ready if entry.key is not None]
    rows = {row.record.key: row for row in last_attempts(journal, site, keys)}
    sha256s: dict[Path, str] = {}
    return evolve(plan, entries=tuple(_check_entry(entry, rows, sha256s, plan.files) for entry in plan.entries))


def _check_entry(entry: Entry, rows: Mapping[str, Row], sha256s: dict[Path, str], files: LocalFiles) -> Entry:
    row = rows.get(entry.key or "")
    if row is None or entry.request is None or entry.refused or not _is_kept(row):
        return entry
    for path in {media.path for media in entry.request.media()} - sha256s.keys():
        sha256s[path] = sha256_of(path, files)
    try:
        check_same_inputs(row.record, new_record(row.record.key, entry.request, sha256s))
    except KeyConflict as error:
        message = f"its key {display_text(row.record.key)!r} {error.message.removeprefix('the key ')}"
        issue = Issue(
            rule="key of another job", subject=entry.origin, message=message, hint="Give this job another key"
        )
        return evolve(entry, issues=(*entry.issues, issue))
    return entry


def _is_kept(row: Row) -> bool:
    return row.record.state in _KEPT_STATES or (
        row.record.state is SubmissionState.SETTLED and row.result() is not None
    )


def unknown_jobs_warning(out: Path, journal: Path, site: str) -> str | None:
    """Warn that a journal has none of the jobs whose outcomes are in a folder; return None if it has some.

    :raises UsageError: the folder's batch.jsonl cannot be read.
    :raises JournalError: the journal cannot be read.
    """
    finished = set(_task_ids_in(out / "batch.jsonl"))
    if not finished or finished & task_ids(journal, site):
        return None
    jobs = "a job" if len(finished) == 1 else f"{len(finished):,} jobs"
    unknown = f"{out / 'batch.jsonl'} has {jobs} that the journal {journal} does not have"
    return f"{unknown}; they would be submitted, and billed, again"


def _task_ids_in(results_log: Path) -> Iterator[str]:
    try:
        with results_log.open("rb") as lines:
            for line in lines:
                task_id = _task_id_in(line)
                if task_id:
                    yield task_id
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{results_log} cannot be read: {error.strerror or error}; nothing was sent") from error


def _task_id_in(line: bytes) -> str | None:
    try:
        outcome = json.loads(line)
    except ValueError:  # the file may have another origin, and its last line be cut
        return None
    task_id = outcome.get("task_id") if isinstance(outcome, dict) else None
    return task_id if isinstance(task_id, str) else None
