"""Reads a journal without taking part in it: no session, no API key, no network, nothing written. Blocks throughout.

The columns are those of the journal's schema; a journal newer than this program is refused here too.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from attrs import fields_dict, frozen

from rh_async import JournalError, Record, Result, RHError, Snapshot, State
from rh_async._journal import VERSION
from rh_async._owners import Owner
from rh_async._protocol import decode_query
from rh_async._wire import Answer

from ._exits import Misuse

BOUGHT = frozenset({State.SUBMITTED, State.SETTLED, State.SAVED, State.LOST})
"""The server has accepted it, and its task is known."""
UNFINISHED = frozenset({State.SUBMITTING, State.SUBMITTED, State.SETTLED, State.LOST})
"""What a command that was killed may have left to be picked up."""

_PATIENCE = 30.0  #: seconds that a commit of somebody else's is waited for


@frozen(kw_only=True)
class Row:
    """One attempt as the journal has it.

    :param carried: whether a session that lives has it in hand.
    """

    site: str
    record: Record
    carried: bool

    @property
    def left(self) -> bool:
        """Whether it is to be picked up."""
        return self.record.state in UNFINISHED and not self.carried

    @property
    def submitted(self) -> str:
        """When it was bought, for people."""
        return at(self.record.submitted_utc or self.record.claimed_utc)

    def snapshot(self) -> Snapshot | None:
        """The server's last answer; None if it gave none that can be read."""
        if not self.record.raw or self.record.task_id is None:
            return None
        try:
            return decode_query(Answer(status=200, body=self.record.raw), self.record.task_id)
        except RHError:
            return None

    def result(self) -> Result | None:
        """What it made, as far as it was told; None if it has not succeeded."""
        snapshot = self.snapshot()
        if snapshot is None or self.record.error is not None:
            return None
        return made(snapshot, noticed_utc=datetime.fromisoformat(self.record.noticed_utc or self.record.claimed_utc))


def made(snapshot: Snapshot, *, noticed_utc: datetime) -> Result | None:
    """What a task made; None if it has not succeeded."""
    if not snapshot.succeeded or not snapshot.outputs:
        return None
    return Result(
        task_id=snapshot.task_id,
        outputs=snapshot.outputs,
        usage=snapshot.usage,
        noticed_utc=noticed_utc,
        raw=snapshot.raw,
    )


def at(utc: str) -> str:
    """A moment as it was written down, on the clock of whoever reads it."""
    return datetime.fromisoformat(utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def read(path: Path, site: str | None = None, *, key: str | None = None) -> list[Row]:
    """Every attempt, oldest first.

    :param site: only those of one site.
    :param key: only those with this key.
    :raises JournalError: it cannot be read, or is newer than this program.
    """
    with _opened(path) as db:
        found = [] if db is None else _found(db, path, key)
    owners = Owner(path.with_name(f"{path.name}.owners"))
    living = {name: _lives(owners, name) for name in {facts["owner"] for facts in found}}
    rows = [Row(site=facts["site"], record=_record(facts), carried=living[facts["owner"]]) for facts in found]
    return [row for row in rows if site in {None, row.site}]


def saved_paths(path: Path) -> frozenset[Path]:
    """Every file that a job was saved to, of all sites.

    :raises JournalError: the journal cannot be read, or is newer than this program.
    """
    with _opened(path) as db:
        known = db is not None and _version(db, path) > 0
        told = db.execute("SELECT paths FROM jobs WHERE paths != '[]'") if db is not None and known else ()
        return frozenset(Path(name) for (paths,) in told for name in json.loads(paths))


def named(rows: list[Row], name: str) -> Row | None:
    """The last attempt of a key, or the one that bought a task.

    :raises Misuse: it is one job's key and another's task.
    """
    keyed = [row for row in rows if row.record.key == name][-1:]
    bought = [row for row in rows if row.record.task_id == name]
    if keyed and bought and keyed != bought:
        raise Misuse(f"{name} is the key of one job and another's task id: give the other name of the one you mean")
    return next(iter([*keyed, *bought]), None)


class Found(NamedTuple):
    """A task, and what the journal has of it, if anything."""

    task_id: str
    row: Row | None


def find(name: str, journal: Path, site: str) -> Found:
    """Find a task by key or task id. Blocks: call it off the loop.

    :raises Misuse: there is none.
    """
    bare = re.fullmatch(r"[0-9]{15,19}", name) is not None
    try:
        row = named(read(journal, site), name)
    except JournalError:
        if not bare:
            raise
        return Found(name, None)  # a task can be stopped even if the journal is broken
    if row is None:
        if name.isdecimal():
            return Found(name, None)
        raise Misuse(f"{name} is no task id, and no job for {site} in the journal {journal} has that key")
    if row.record.task_id is None or row.record.state not in BOUGHT:
        raise Misuse(f"{name} is {row.record.state}: it has no task")
    return Found(row.record.task_id, row)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection | None]:
    """The journal, to be read; None if there is none yet."""
    try:
        if not path.exists():
            yield None
            return
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)) as db:
            yield db
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"the journal {path} cannot be read: {error}", advice="") from error


def _version(db: sqlite3.Connection, path: Path) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        words = f"{path} was made by a newer version of this program ({version}, known: {VERSION})"
        raise JournalError(words, advice="Install that, or name another file.")
    return version


def _found(db: sqlite3.Connection, path: Path, key: str | None) -> list[dict[str, Any]]:
    version = _version(db, path)
    db.row_factory = sqlite3.Row
    chosen = "SELECT * FROM jobs WHERE ? IS NULL OR key = ? ORDER BY claimed_utc, attempt"
    rows = db.execute(chosen, (key, key)) if version else []
    return [dict(row) for row in rows]


def _lives(owners: Owner, name: str) -> bool:
    try:
        return owners.alive(name)
    except OSError:
        return True  # nobody may be declared dead who cannot be asked


def _record(facts: dict[str, Any]) -> Record:
    known = {name: facts[name] for name in fields_dict(Record) if name in facts}  # the others are no columns
    error = None if facts["error"] is None else tuple(json.loads(facts["error"]))
    return Record(
        **known | {"state": State(facts["state"]), "error": error, "paths": tuple(json.loads(facts["paths"]))}
    )
