"""Reads a journal without taking part in it: no session, no API key, no network, nothing written. Blocks throughout.

The columns are those of the journal's schema; a journal newer than this program is refused here too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from attrs import frozen

from rh_async._api.endpoints import CURRENCIES
from rh_async._api.task_family import family_of
from rh_async._api.wire import ApiResponse
from rh_async._journal.lease import ProcessLease
from rh_async._journal.records import SubmissionRecord, SubmissionState
from rh_async._journal.sqlite_schema import VERSION, record_from
from rh_async.errors import JournalError, RHError
from rh_async.types import Result, Snapshot

SUBMITTED_STATES = frozenset(
    {SubmissionState.SUBMITTED, SubmissionState.SETTLED, SubmissionState.SAVED, SubmissionState.LOST}
)
"""In these the server has accepted the submission, and its task is known."""
UNFINISHED_STATES = frozenset(
    {SubmissionState.SUBMITTING, SubmissionState.SUBMITTED, SubmissionState.SETTLED, SubmissionState.LOST}
)
"""In these a command that was killed may have left a submission for ``resume``."""

_KEYS = "SELECT key FROM jobs WHERE site = ?"
_SHORTEST = len("auto-") + 8  #: characters of a derived key that are shown at least
_PATIENCE = 30.0  #: seconds that another process's commit is waited for


@frozen(kw_only=True)
class Row:
    """One attempt as the journal has it.

    :param carried: whether a running session has it in hand.
    """

    site: str
    record: SubmissionRecord
    carried: bool

    @property
    def left(self) -> bool:
        """Whether ``resume`` would take it over."""
        return self.record.state in UNFINISHED_STATES and not self.carried

    @property
    def submitted(self) -> str:
        """When it was bought, in local time."""
        return at(self.record.submitted_utc or self.record.claimed_utc)

    def snapshot(self) -> Snapshot | None:
        """Return the server's last answer; None if it gave none that can be read."""
        if not self.record.raw or self.record.task_id is None:
            return None
        try:
            response = ApiResponse(status=200, body=self.record.raw)
            family, currency = family_of(self.record.endpoint), CURRENCIES.get(self.site)
            return family.decode_query(response, self.record.task_id, currency=currency)
        except RHError:
            return None

    def result(self) -> Result | None:
        """Return its result as the journal has it; None if it has not succeeded."""
        snapshot = self.snapshot()
        if snapshot is None or self.record.error is not None:
            return None
        return made(snapshot, noticed_utc=datetime.fromisoformat(self.record.noticed_utc or self.record.claimed_utc))


def made(snapshot: Snapshot, *, noticed_utc: datetime) -> Result | None:
    """Return the result that a task's status shows; None if it has not succeeded."""
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
    """Return a moment of the journal in local time, as text."""
    return datetime.fromisoformat(utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def read(
    path: Path,
    site: str | None = None,
    *,
    key: str | None = None,
    task_id: str | None = None,
    states: Collection[SubmissionState | str] = (),
) -> list[Row]:
    """Return attempts, oldest first; parameters as for `stream`.

    :raises JournalError: it cannot be read, or is newer than this program.
    """
    return list(stream(path, site, key=key, task_id=task_id, states=states))


def stream(
    path: Path,
    site: str | None = None,
    *,
    key: str | None = None,
    task_id: str | None = None,
    states: Collection[SubmissionState | str] = (),
) -> Iterator[Row]:
    """Iterate over attempts in the order in which they were made, read as they are asked for, from any thread.

    :param site: only those of one site.  :param key: only those with this key.
    :param task_id: only the one that bought this task.  :param states: only those in one of these.
    :raises JournalError: it cannot be read, or is newer than this program.
    """
    lease = ProcessLease(path.with_name(f"{path.name}.owners"))
    running: dict[str, bool] = {}
    chosen, values = _chosen(site, key, task_id, states)
    with _opened(path) as db:
        if db is None:
            return
        db.row_factory = sqlite3.Row
        for columns in map(dict, db.execute(chosen, values)):
            owner = columns["owner"]
            if owner not in running:
                running[owner] = _is_running(lease, owner)
            yield Row(site=columns["site"], record=record_from(columns), carried=running[owner])


def _chosen(
    site: str | None, key: str | None, task_id: str | None, states: Collection[SubmissionState | str]
) -> tuple[str, list[str]]:
    # The plus keeps SQLite from an index whose rows it would have to sort: all of them, before the first is returned.
    columns = {"site" if key or task_id else "+site": site, "key": key, "task_id": task_id}
    where = [f"{column} = ?" for column, value in columns.items() if value is not None]
    where += [f"+state IN ({', '.join('?' * len(states))})"] if states else []
    values = [value for value in columns.values() if value is not None] + list(map(str, states))
    return f"SELECT * FROM jobs WHERE {' AND '.join(where) or 'TRUE'} ORDER BY rowid", values  # noqa: S608 - columns


@frozen
class Overview:
    """What is in a journal as a whole.

    :param sites: those it has jobs for.
    :param shown: how many characters tell its derived keys apart.
    """

    sites: tuple[str, ...] = ()
    shown: int = _SHORTEST


def overview(path: Path) -> Overview:
    """Return what is in a journal as a whole.

    :raises JournalError: it cannot be read, or is newer than this program.
    """
    with _opened(path) as db:
        if db is None:
            return Overview()
        sites = tuple(site for (site,) in db.execute("SELECT DISTINCT site FROM jobs ORDER BY site"))
        keys = [key for (key,) in db.execute("SELECT DISTINCT key FROM jobs WHERE key GLOB 'auto-*' ORDER BY key")]
    shown = _SHORTEST
    for one, next_one in pairwise(keys):
        while one[:shown] == next_one[:shown]:
            shown += 1
    return Overview(sites, shown)


def keys_beginning(path: Path, site: str, begin: str, *, most: int) -> list[str]:
    """Return the first few keys that begin so.

    :raises JournalError: it cannot be read, or is newer than this program.
    """
    with _opened(path) as db:
        if db is None:
            return []
        chosen = "SELECT DISTINCT key FROM jobs WHERE site = ? AND substr(key, 1, ?) = ? ORDER BY key LIMIT ?"
        return [key for (key,) in db.execute(chosen, (site, len(begin), begin, most))]


def last_attempts(path: Path, site: str, keys: Iterable[str]) -> Iterator[Row]:
    """Iterate over the last attempt of each of these keys that has one.

    :raises JournalError: it cannot be read, or is newer than this program.
    """
    with _opened(path) as db:
        known = set() if db is None else {key for (key,) in db.execute(_KEYS, (site,))}
    for key in known.intersection(keys):
        yield from read(path, site, key=key)[-1:]


def task_ids(path: Path, site: str) -> set[str]:
    """Return every task of a site that the journal knows.

    :raises JournalError: it cannot be read, or is newer than this program.
    """
    with _opened(path) as db:
        chosen = "SELECT task_id FROM jobs WHERE site = ? AND task_id IS NOT NULL"
        return set() if db is None else {task for (task,) in db.execute(chosen, (site,))}


def saved_paths(path: Path) -> frozenset[str]:
    """Return every file that a job was saved to, of all sites.

    :raises JournalError: the journal cannot be read, or is newer than this program.
    """
    with _opened(path) as db:
        saved = () if db is None else db.execute("SELECT paths FROM jobs WHERE paths != '[]'")
        return frozenset(name for (paths,) in saved for name in json.loads(paths))


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Open a journal for reading; None if there is none yet, or it has no tables yet."""
    try:
        if not path.exists():
            yield None
            return
        where = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(where, uri=True, timeout=_PATIENCE, check_same_thread=False)) as db:
            yield db if _version(db, path) else None
    except (sqlite3.Error, OSError) as error:
        advice = "Name the journal's file (journal=)."
        raise JournalError(f"the journal {path} cannot be read: {error}", advice=advice) from error


def _version(db: sqlite3.Connection, path: Path) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        message = f"{path} was made by a newer version of this program ({version}, known: {VERSION})"
        raise JournalError(message, advice="Install that, or name another file.")
    return version


def _is_running(lease: ProcessLease, name: str) -> bool:
    try:
        return lease.is_alive(name)
    except OSError:
        return True  # a session that cannot be asked must not be taken for ended
