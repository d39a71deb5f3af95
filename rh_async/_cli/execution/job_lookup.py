"""Finds one job in the journal by what a user types: a key, the beginning of one, or a task id. Blocks throughout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from rh_async import JournalError
from rh_async._cli.exit_codes import UsageError
from rh_async._journal.reader import SUBMITTED_STATES, Row, keys_beginning, read

_MAX_SHOWN = 4


class JournaledTask(NamedTuple):
    """A task, and its row in the journal, if it has one."""

    task_id: str
    row: Row | None


def find(name: str, journal: Path, site: str) -> JournaledTask:
    """Find a task by key, by the beginning of a key, or by task id.

    :raises UsageError: there is none, or more than one.
    """
    is_task_id = re.fullmatch(r"[0-9]{15,19}", name) is not None
    try:
        row = _find_row(name, journal, site)
    except JournalError:
        if not is_task_id:
            raise
        return JournaledTask(name, None)  # a task can be stopped even if the journal cannot be read
    if row is None:
        if name.isdecimal():
            return JournaledTask(name, None)
        raise UsageError(f"{name!r:.80} is no task id, and no job for {site} in the journal {journal} has that key")
    if row.record.task_id is None or row.record.state not in SUBMITTED_STATES:
        raise UsageError(f"{name} is {row.record.state}: it has no task")
    return JournaledTask(row.record.task_id, row)


def last_attempt(name: str, journal: Path, site: str) -> Row | None:
    """Find the last attempt of a key, or of the only key that begins so; None if there is none.

    :raises UsageError: several keys begin so.
    """
    attempts = read(journal, site, key=name)
    return attempts[-1] if attempts else _find_by_beginning(name, journal, site)


def _find_row(name: str, journal: Path, site: str) -> Row | None:
    by_key = read(journal, site, key=name)[-1:]
    by_task_id = read(journal, site, task_id=name)
    if by_key and by_task_id and by_key != by_task_id:
        raise UsageError(f"{name} is the key of one job and another's task id: give the other name of the one you mean")
    if by_key or by_task_id:
        return (by_key or by_task_id)[0]
    return None if name.isdecimal() else _find_by_beginning(name, journal, site)  # digits are a task id, if anything


def _find_by_beginning(name: str, journal: Path, site: str) -> Row | None:
    keys = keys_beginning(journal, site, name, most=_MAX_SHOWN)
    if len(keys) > 1:
        some = ", ".join(keys[: _MAX_SHOWN - 1]) + (", …" if len(keys) == _MAX_SHOWN else "")
        raise UsageError(f"several keys begin with {name}: {some}; give more of the one you mean")
    return read(journal, site, key=keys[0])[-1] if keys else None
