"""Finds one job of the journal by what a person calls it: a key, how one begins, or a task id. Blocks throughout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from rh_async import JournalError
from rh_async._cli.exit_codes import UsageError
from rh_async._journal.reader import BOUGHT, Row, keys_beginning, read

_SHOWN = 4


class JournaledTask(NamedTuple):
    """A task, and what the journal has of it, if anything."""

    task_id: str
    row: Row | None


def find(name: str, journal: Path, site: str) -> JournaledTask:
    """Find a task by key, by the beginning of a key, or by task id.

    :raises UsageError: there is none, or more than one.
    """
    bare = re.fullmatch(r"[0-9]{15,19}", name) is not None
    try:
        row = _named(name, journal, site)
    except JournalError:
        if not bare:
            raise
        return JournaledTask(name, None)  # a task can be stopped even if the journal is broken
    if row is None:
        if name.isdecimal():
            return JournaledTask(name, None)
        raise UsageError(f"{name!r:.80} is no task id, and no job for {site} in the journal {journal} has that key")
    if row.record.task_id is None or row.record.state not in BOUGHT:
        raise UsageError(f"{name} is {row.record.state}: it has no task")
    return JournaledTask(row.record.task_id, row)


def last_of_key(name: str, journal: Path, site: str) -> Row | None:
    """Find the last attempt of a key, or of the only key that begins so; None if there is none.

    :raises UsageError: several keys begin so.
    """
    keyed = read(journal, site, key=name)
    return keyed[-1] if keyed else _only_one_beginning(name, journal, site)


def _named(name: str, journal: Path, site: str) -> Row | None:
    keyed = read(journal, site, key=name)[-1:]
    bought = read(journal, site, task_id=name)
    if keyed and bought and keyed != bought:
        raise UsageError(f"{name} is the key of one job and another's task id: give the other name of the one you mean")
    if keyed or bought:
        return (keyed or bought)[0]
    return None if name.isdecimal() else _only_one_beginning(name, journal, site)  # digits are a task id, if anything


def _only_one_beginning(name: str, journal: Path, site: str) -> Row | None:
    keys = keys_beginning(journal, site, name, most=_SHOWN)
    if len(keys) > 1:
        some = ", ".join(keys[: _SHOWN - 1]) + (", …" if len(keys) == _SHOWN else "")
        raise UsageError(f"several keys begin with {name}: {some}; give more of the one you mean")
    return read(journal, site, key=keys[0])[-1] if keys else None
