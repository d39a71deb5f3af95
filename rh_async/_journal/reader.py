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
"""The server has accepted it, and its task is known."""
UNFINISHED_STATES = frozenset(
    {SubmissionState.SUBMITTING, SubmissionState.SUBMITTED, SubmissionState.SETTLED, SubmissionState.LOST}
)
"""What a command that was killed may have left to be picked up."""

_KEYS = "SELECT key FROM jobs WHERE site = ?"
_SHORTEST = len("auto-") + 8
_PATIENCE = 30.0  #: seconds that a commit of somebody else's is waited for


@frozen(kw_only=True)
class Row:
    """One attempt as the journal has it.

    :param carried: whether a session that lives has it in hand.
    """

    site: str
    record: SubmissionRecord
    carried: bool

    @property
    def left(self) -> bool:
        """Whether it is to be picked up."""
        return self.record.state in UNFINISHED_STATES and not self.carried

    @property
    def submitted(self) -> str:
        """When it was bought, for people."""
        return at(self.record.submitted_utc or self.record.claimed_utc)

    def snapshot(self) -> Snapshot | None:
        """The server's last answer; None if it gave none that can be read."""
        if not self.record.raw or self.record.task_id is None:
            return None
        try:
            response = ApiResponse(status=200, body=self.record.raw)
            family, currency = family_of(self.record.endpoint), CURRENCIES.get(self.site)
            return family.decode_query(response, self.record.task_id, currency=currency)
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


def read(
    path: Path,
    site: str | None = None,
    *,
    key: str | None = None,
    task_id: str | None = None,
    states: Collection[SubmissionState | str] = (),
) -> list[Row]:
    """Every attempt that is wanted, oldest first; see `stream`.

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
    """Attempts in the order they were made, read as they are asked for; any thread may ask.

    :param site: only those of one site.  :param key: only those with this key.
    :param task_id: only the one that bought this task.  :param states: only those in one of these.
    :raises JournalError: it cannot be read, or is newer than this program.
    """
    owners = ProcessLease(path.with_name(f"{path.name}.owners"))
    living: dict[str, bool] = {}
    chosen, values = _chosen(site, key, task_id, states)
    with _opened(path) as db:
        if db is None or not _version(db, path):
            return
        db.row_factory = sqlite3.Row
        for facts in map(dict, db.execute(chosen, values)):
            owner = facts["owner"]
            if owner not in living:
                living[owner] = _lives(owners, owner)
            yield Row(site=facts["site"], record=record_from(facts), carried=living[owner])


def _chosen(
    site: str | None, key: str | None, task_id: str | None, states: Collection[SubmissionState | str]
) -> tuple[str, list[str]]:
    # A plus keeps SQLite from an index whose rows it would have to sort: all of them, before the first is told.
    named = {"site" if key or task_id else "+site": site, "key": key, "task_id": task_id}
    where = [f"{column} = ?" for column, value in named.items() if value is not None]
    where += [f"+state IN ({', '.join('?' * len(states))})"] if states else []
    values = [value for value in named.values() if value is not None] + list(map(str, states))
    return f"SELECT * FROM jobs WHERE {' AND '.join(where) or 'TRUE'} ORDER BY rowid", values  # noqa: S608 - columns


@frozen
class Overview:
    """What a journal is about.

    :param sites: those it has jobs for.
    :param shown: how many signs tell its derived keys apart.
    """

    sites: tuple[str, ...] = ()
    shown: int = _SHORTEST


def overview(path: Path) -> Overview:
    """Look at a journal as a whole.

    :raises JournalError: it cannot be read, or is newer than this program.
    """
    with _opened(path) as db:
        if db is None or not _version(db, path):
            return Overview()
        sites = tuple(site for (site,) in db.execute("SELECT DISTINCT site FROM jobs ORDER BY site"))
        keys = [key for (key,) in db.execute("SELECT DISTINCT key FROM jobs WHERE key GLOB 'auto-*' ORDER BY key")]
    shown = _SHORTEST
    for one, next_one in pairwise(keys):
        while one[:shown] == next_one[:shown]:
            shown += 1
    return Overview(sites, shown)


def keys_beginning(path: Path, site: str, begin: str, *, most: int) -> list[str]:
    """The first few keys that begin so.

    :raises JournalError: it cannot be read, or is newer than this program.
    """
    with _opened(path) as db:
        if db is None or not _version(db, path):
            return []
        chosen = "SELECT DISTINCT key FROM jobs WHERE site = ? AND substr(key, 1, ?) = ? ORDER BY key LIMIT ?"
        return [key for (key,) in db.execute(chosen, (site, len(begin), begin, most))]


def last_attempts(path: Path, site: str, keys: Iterable[str]) -> Iterator[Row]:
    """The last attempt of each key that has one.

    :raises JournalError: it cannot be read, or is newer than this program.
    """
    with _opened(path) as db:
        known = set() if db is None or not _version(db, path) else {key for (key,) in db.execute(_KEYS, (site,))}
    for key in known.intersection(keys):
        yield from read(path, site, key=key)[-1:]


def task_ids(path: Path, site: str) -> set[str]:
    """Every task of a site that the journal knows.

    :raises JournalError: it cannot be read, or is newer than this program.
    """
    with _opened(path) as db:
        known = db is not None and _version(db, path) > 0
        chosen = "SELECT task_id FROM jobs WHERE site = ? AND task_id IS NOT NULL"
        return {task for (task,) in db.execute(chosen, (site,))} if db is not None and known else set()


def saved_paths(path: Path) -> frozenset[str]:
    """Every file that a job was saved to, of all sites.

    :raises JournalError: the journal cannot be read, or is newer than this program.
    """
    with _opened(path) as db:
        known = db is not None and _version(db, path) > 0
        told = db.execute("SELECT paths FROM jobs WHERE paths != '[]'") if db is not None and known else ()
        return frozenset(name for (paths,) in told for name in json.loads(paths))


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection | None]:
    """The journal, to be read; None if there is none yet."""
    try:
        if not path.exists():
            yield None
            return
        where = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(where, uri=True, timeout=_PATIENCE, check_same_thread=False)) as db:
            yield db
    except (sqlite3.Error, OSError) as error:
        advice = "Name the journal's file (journal=)."
        raise JournalError(f"the journal {path} cannot be read: {error}", advice=advice) from error


def _version(db: sqlite3.Connection, path: Path) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        words = f"{path} was made by a newer version of this program ({version}, known: {VERSION})"
        raise JournalError(words, advice="Install that, or name another file.")
    return version


def _lives(owners: ProcessLease, name: str) -> bool:
    try:
        return owners.is_alive(name)
    except OSError:
        return True  # nobody may be declared dead who cannot be asked
