"""Remembers, durably before it answers: sqlite3 on one thread of its own, moves committed in groups.

What it keeps of the API key is a salted fingerprint, so that a row made under another key is recognised, never the key.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, evolve, field

from ._owners import Owner, locked
from ._records import FREE, Record, State, may_move
from ._types import TaskId, Upload
from .errors import JournalError, KeyInUse, RHError

if TYPE_CHECKING:
    import sqlite3  # loaded only by a session that has a journal

T = TypeVar("T")

VERSION = 3

_PAGE = 500  # rows that are in memory at once where all are read
_GATHERING = 0.002  # seconds in which moves gather for one commit: little beside a POST, much beside a lone fsync

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE jobs (
    site TEXT NOT NULL, key TEXT NOT NULL, attempt INTEGER NOT NULL, fingerprint TEXT NOT NULL,
    state TEXT NOT NULL, owner TEXT NOT NULL, endpoint TEXT NOT NULL, inputs TEXT NOT NULL, nonce TEXT NOT NULL,
    task_id TEXT, claimed_utc TEXT NOT NULL, submitted_utc TEXT, noticed_utc TEXT, raw BLOB NOT NULL,
    error TEXT, folder TEXT, paths TEXT NOT NULL, driving REAL,
    contents TEXT NOT NULL DEFAULT '', status TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (site, key, attempt), UNIQUE (site, task_id)
) STRICT;
CREATE INDEX jobs_by_state ON jobs (site, state);
CREATE INDEX jobs_by_nonce ON jobs (site, nonce);
CREATE TABLE uploads (
    site TEXT NOT NULL, fingerprint TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    file_name TEXT NOT NULL, url TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (site, fingerprint, sha256, size)
) STRICT;
"""

_FROM_1 = "ALTER TABLE jobs ADD COLUMN driving REAL;"
"""What a journal of version 1 lacks."""

_FROM_2 = """
ALTER TABLE jobs ADD COLUMN contents TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN status TEXT NOT NULL DEFAULT '';
UPDATE jobs SET state = 'lost' WHERE state = 'settled' AND error LIKE '["JobLost"%';
"""
"""What a journal of version 2 lacks; what was lost counted as settled there, and was never asked about again."""

_STEPS = (_FROM_1, _FROM_2)

_COLUMNS = (
    "key, attempt, state, owner, endpoint, inputs, nonce, task_id, claimed_utc, submitted_utc, noticed_utc, raw, error,"
    " folder, paths, driving, contents, status"
)

_THIS = "site = ? AND key = ? AND attempt = ? AND state = ? AND owner = ?"
"""A row as its reader knew it: whoever else has moved it meanwhile is found out by there being none."""


@define(eq=False, kw_only=True, repr=False)
class Journal:
    """One site's rows in one file, as one session sees them.

    :param path: the SQLite file; made if missing, readable by its owner alone.
    :param wall: tells the time of day.
    :ivar commits: how many transactions were made durable.  :ivar moves: how many moves they held.
    """

    path: Path
    site: str
    wall: Callable[[], datetime]
    owner: Owner = field(init=False)
    commits: int = field(default=0, init=False)
    moves: int = field(default=0, init=False)
    _fingerprint: str = field(default="", init=False)
    _db: sqlite3.Connection = field(init=False)
    _thread: ThreadPoolExecutor = field(init=False)
    _queue: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = field(factory=deque, init=False)
    _draining: asyncio.Task[None] | None = field(default=None, init=False)

    # --- one lifetime ------------------------------------------------------------------------------------------------

    async def open(self, api_key: str) -> None:
        """Open the file, and show a sign of life beside it.

        :raises JournalError: it is no journal, newer than this program, corrupt, or cannot be written.
        """
        self._thread = ThreadPoolExecutor(1, "rh_async journal")
        self.owner = Owner(self.path.with_name(self.path.name + ".owners"))
        try:
            await self._in_thread(lambda: self._guarded(lambda: self._open(api_key)))
        except JournalError:
            self._thread.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """Finish what is queued, and be gone."""
        while self._draining is not None:
            await asyncio.wait({self._draining})
        await self._in_thread(self._close)
        self._thread.shutdown(wait=False)

    def _open(self, api_key: str) -> None:
        import sqlite3  # noqa: PLC0415 - a session without a journal loads no database

        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        self._db = sqlite3.connect(self.path, timeout=30.0, isolation_level=None, check_same_thread=False)
        try:
            with locked(self.path.with_name(self.path.name + ".lock")):  # six at once met "database is locked"
                self._prepare()
        except (sqlite3.Error, OSError, JournalError):
            self._db.close()
            raise
        salt = self._db.execute("SELECT value FROM meta WHERE name = 'salt'").fetchone()[0]
        self._fingerprint = hashlib.blake2b(api_key.encode(), salt=salt, digest_size=16).hexdigest()
        self.owner.begin()

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise JournalError(f"{self.path} was made by a newer version of this program ({version}, known: {VERSION})")
        if self._db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            self._db.execute("PRAGMA journal_mode = WAL").fetchone()
        self._db.execute("PRAGMA synchronous = FULL")
        if version == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
            self._db.execute("INSERT INTO meta VALUES ('salt', ?)", (secrets.token_bytes(16),))
        elif version < VERSION:
            steps = " ".join(_STEPS[version - 1 :])
            self._db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;")

    def _close(self) -> None:
        self.owner.end()
        self._db.close()

    # --- moves -------------------------------------------------------------------------------------------------------

    async def claim(
        self, fresh: Record, *, again: bool = False, after: int | None = None, gone: int | None = None
    ) -> Record:
        """Claim a key for this session, or tell who has it.

        :param fresh: what to write down; its attempt and owner are filled in.
        :param again: whether the next attempt is opened whatever became of the last.
        :param after: only if the last is this one; else somebody else was faster.
        :param gone: the lost attempt that the server has just said it does not know: no other lost one is followed.
        :return: the claimed record, owned by this session; or the last one, owned by whoever has it.
        :raises KeyInUse: the key's last row was made under another API key: submitting it anew could buy it twice.
        :raises JournalError: it could not be made durable.
        """
        return await self._durably(lambda: self._claim(fresh, again, after, gone))

    def _claim(self, fresh: Record, again: bool, after: int | None, gone: int | None) -> Record:
        row = self._db.execute(
            f"SELECT {_COLUMNS}, fingerprint FROM jobs WHERE site = ? AND key = ? ORDER BY attempt DESC LIMIT 1",  # noqa: S608
            (self.site, fresh.key),
        ).fetchone()
        if row is None:
            return self._insert(evolve(fresh, attempt=1))
        last = _record(row[:-1])
        if row[-1] != self._fingerprint and last.state not in FREE:
            raise KeyInUse(f"the key {fresh.key} was submitted under another API key", key=fresh.key)
        if last.state is State.CLAIMED and (last.owner == self.owner.name or not self.owner.alive(last.owner)):
            return self._insert(evolve(fresh, attempt=last.attempt))
        if last.state is State.SUBMITTING and not self.owner.alive(last.owner):
            last = self._update(last, State.UNCERTAIN)
        wanted = again and after in {None, last.attempt}
        if last.state is State.LOST and last.attempt != gone:
            wanted = False
        over = last.state in FREE or (wanted and last.state not in {State.CLAIMED, State.SUBMITTING})
        return self._insert(evolve(fresh, attempt=last.attempt + 1)) if over else last

    def _insert(self, record: Record) -> Record:
        mine = evolve(record, owner=self.owner.name, claimed_utc=self.wall().isoformat())
        values = (self.site, self._fingerprint, *_values(mine))
        marks = ", ".join("?" * len(values))
        self._db.execute(f"INSERT OR REPLACE INTO jobs (site, fingerprint, {_COLUMNS}) VALUES ({marks})", values)  # noqa: S608
        return mine

    async def move(self, record: Record, to: State, **facts: Any) -> Record:
        """Make one move durable.

        :param facts: fields of the record that it changes.
        :return: the record as it stands now.
        :raises JournalError: the table has no such move, somebody else moved it, or it could not be made durable.
        """
        return await self._durably(lambda: self._update(record, to, **facts))

    def _update(self, record: Record, to: State, **facts: Any) -> Record:
        if not may_move(record.state, to):
            raise JournalError(f"{record.key}: nothing moves from {record.state} to {to}", key=record.key)
        moved = evolve(record, state=to, **facts)
        names = [f"{name.strip()} = ?" for name in _COLUMNS.split(",")]
        changed = self._db.execute(
            f"UPDATE jobs SET {', '.join(names)} WHERE {_THIS}",  # noqa: S608
            (*_values(moved), self.site, record.key, record.attempt, record.state, record.owner),
        ).rowcount
        if not changed:
            raise JournalError(f"{record.key}: somebody else has moved it meanwhile", key=record.key)
        return moved

    async def noted(self, record: Record) -> None:
        """Keep the server's last word on a running task, unless it has been moved meanwhile.

        :raises JournalError: it could not be made durable.
        """
        values = (record.status, self.site, record.key, record.attempt, record.state, record.owner)
        await self._durably(lambda: self._db.execute(f"UPDATE jobs SET status = ? WHERE {_THIS}", values))  # noqa: S608

    async def saved(self, task_id: TaskId, paths: tuple[str, ...]) -> None:
        """A settled task's outputs are on disk; whoever brought them there, and however often.

        :raises JournalError: it could not be made durable.
        """
        where = "site = ? AND task_id = ? AND state = ?"
        values = (State.SAVED, json.dumps(paths), self.site, task_id, State.SETTLED)
        change = f"UPDATE jobs SET state = ?, paths = ? WHERE {where}"  # noqa: S608
        await self._durably(lambda: self._db.execute(change, values))

    async def release(self, record: Record) -> None:
        """Give a claim up that was never sent.

        :raises JournalError: it could not be made durable.
        """
        values = (self.site, record.key, record.attempt, State.CLAIMED, self.owner.name)
        await self._durably(lambda: self._db.execute(f"DELETE FROM jobs WHERE {_THIS}", values))  # noqa: S608

    async def inherit(self, record: Record) -> Record:
        """Take over what a dead owner left, or what is nobody's any more.

        :raises JournalError: its owner lives, somebody else took it, or it could not be made durable.
        """
        return await self._durably(lambda: self._inherit(record))

    def _inherit(self, record: Record) -> Record:
        carried = record.state in {State.CLAIMED, State.SUBMITTING, State.SUBMITTED}
        if carried and record.owner != self.owner.name and self.owner.alive(record.owner):
            raise JournalError(f"{record.key}: the session that carries it is still running", key=record.key)
        changed = self._db.execute(
            f"UPDATE jobs SET owner = ? WHERE {_THIS}",  # noqa: S608
            (self.owner.name, self.site, record.key, record.attempt, record.state, record.owner),
        ).rowcount
        if not changed:
            raise JournalError(f"{record.key}: somebody else took it over", key=record.key)
        return evolve(record, owner=self.owner.name)

    # --- reading -----------------------------------------------------------------------------------------------------

    async def find(self, key: str) -> Record | None:
        """The last attempt of a key."""
        rows = await self._rows("key = ? ORDER BY attempt DESC LIMIT 1", key)
        return rows[0] if rows else None

    async def of_task(self, task_id: TaskId) -> Record | None:
        """The attempt that bought a task."""
        rows = await self._rows("task_id = ?", task_id)
        return rows[0] if rows else None

    async def of_nonce(self, nonce: str) -> Record | None:
        """The attempt in whose webhook address a nonce travels."""
        rows = await self._rows("nonce = ?", nonce) if nonce else []
        return rows[0] if rows else None

    async def in_states(self, states: Iterable[State]) -> list[Record]:
        """Every attempt in one of these states, oldest first."""
        wanted = list(states)
        return await self._rows(f"state IN ({', '.join('?' * len(wanted))}) ORDER BY claimed_utc", *wanted)

    async def page(self, states: Collection[State], prefix: str, *, after: int) -> list[tuple[int, Record]]:
        """The next attempts in one of some states whose key begins so, as they were made, each with its place.

        :param after: the place of the last one that was read; 0 for none.
        """
        marks = ", ".join("?" * len(states))
        chosen = (
            f"SELECT rowid, fingerprint, {_COLUMNS} FROM jobs WHERE rowid > ? AND +site = ? AND state IN ({marks})"  # noqa: S608
            " AND substr(key, 1, ?) = ? ORDER BY rowid LIMIT ?"
        )
        values = (after, self.site, *states, len(prefix), prefix, _PAGE)

        def read() -> list[tuple[int, Record]]:
            rows = self._db.execute(chosen, values).fetchall()
            return [(row[0], evolve(_record(row[2:]), foreign=row[1] != self._fingerprint)) for row in rows]

        return await self._in_thread(lambda: self._guarded(read))

    async def _rows(self, where: str, *values: object) -> list[Record]:
        def read() -> list[Record]:
            chosen = f"SELECT {_COLUMNS}, fingerprint FROM jobs WHERE site = ? AND {where}"  # noqa: S608
            rows = self._db.execute(chosen, (self.site, *values))
            return [evolve(_record(row[:-1]), foreign=row[-1] != self._fingerprint) for row in rows]

        return await self._in_thread(lambda: self._guarded(read))

    async def last_ends(self, endpoint: str, *, most: int) -> list[Record]:
        """The last attempts at a model whose end is known: how long they ran teaches the timetable."""
        where = (
            "endpoint = ? AND state IN ('settled', 'saved') AND error IS NULL AND submitted_utc IS NOT NULL"
            " AND noticed_utc IS NOT NULL ORDER BY noticed_utc DESC"
        )
        return await self._rows(f"{where} LIMIT ?", endpoint, most)

    # --- what else it keeps ------------------------------------------------------------------------------------------

    async def upload(self, sha256: str, size: int) -> tuple[Upload, float] | None:
        """What an upload of this content was answered, and for how many seconds its link still serves."""
        now = self.wall().timestamp()

        def read() -> tuple[Upload, float] | None:
            row = self._db.execute(
                "SELECT file_name, url, until FROM uploads"
                " WHERE site = ? AND fingerprint = ? AND sha256 = ? AND size = ? AND until > ?",
                (self.site, self._fingerprint, sha256, size, now),
            ).fetchone()
            return (
                None if row is None else (Upload(file_name=row[0], url=row[1], sha256=sha256, size=size), row[2] - now)
            )

        return await self._in_thread(lambda: self._guarded(read))

    async def keep_upload(self, upload: Upload, *, life: float) -> None:
        """Keep what an upload was answered.

        :param life: for how many seconds its link serves.
        """
        until = self.wall().timestamp() + life
        values = (self.site, self._fingerprint, upload.sha256, upload.size, upload.file_name, upload.url, until)
        keep = "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)"
        await self._durably(lambda: self._db.execute(keep, values))

    async def forget_upload(self, sha256: str) -> None:
        """The server no longer knows this content."""
        values = (self.site, self._fingerprint, sha256)
        await self._durably(
            lambda: self._db.execute("DELETE FROM uploads WHERE site = ? AND fingerprint = ? AND sha256 = ?", values)
        )

    # --- one thread, few commits -------------------------------------------------------------------------------------

    async def _durably(self, change: Callable[[], T]) -> T:
        """Make a change and its commit, together with whoever else waits for one."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append((change, done))
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        return await asyncio.shield(done)

    async def _drain(self) -> None:
        try:
            while self._queue:
                await asyncio.sleep(_GATHERING)
                batch = list(self._queue)
                self._queue.clear()
                await self._answer(batch)
        finally:
            self._draining = None

    async def _answer(self, batch: list[tuple[Callable[[], Any], asyncio.Future[Any]]]) -> None:
        try:
            ends = await self._in_thread(partial(self._commit, [change for change, _ in batch]))
            for (_, done), (value, error) in zip(batch, ends, strict=True):
                if error is None:
                    done.set_result(value)
                else:
                    done.set_exception(error)
        finally:
            for _, done in batch:
                done.cancel()  # only after a defect of ours: nobody may wait for ever

    def _commit(self, changes: list[Callable[[], Any]]) -> list[tuple[Any, RHError | None]]:
        try:
            self._guarded(lambda: self._db.execute("BEGIN IMMEDIATE"))
            ends = [self._one(change) for change in changes]
            self._guarded(lambda: self._db.execute("COMMIT"))
        except JournalError as error:
            if self._db.in_transaction:
                self._db.rollback()
            return [(None, error.fresh()) for _ in changes]
        self.commits += 1
        self.moves += len(changes)
        return ends

    def _one(self, change: Callable[[], Any]) -> tuple[Any, RHError | None]:
        self._guarded(lambda: self._db.execute("SAVEPOINT one"))
        try:
            end: tuple[Any, RHError | None] = self._guarded(change), None
        except RHError as error:
            if not self._db.in_transaction:  # a full disk takes the whole transaction back, and everybody's change
                raise
            self._db.execute("ROLLBACK TO one")
            end = None, error
        self._guarded(lambda: self._db.execute("RELEASE one"))
        return end

    def _guarded(self, act: Callable[[], T]) -> T:
        import sqlite3  # noqa: PLC0415 - as above

        try:
            return act()
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"the journal {self.path} cannot be used: {error}") from error

    async def _in_thread(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, act)


def _values(record: Record) -> tuple[Any, ...]:
    error = None if record.error is None else json.dumps(record.error)
    return (
        *(record.key, record.attempt, record.state, record.owner, record.endpoint, record.inputs, record.nonce),
        *(record.task_id, record.claimed_utc, record.submitted_utc, record.noticed_utc, record.raw),
        *(error, record.folder, json.dumps(record.paths), record.driving, record.contents, record.status),
    )


def _record(row: tuple[Any, ...]) -> Record:
    names = [name.strip() for name in _COLUMNS.split(",")]
    facts = dict(zip(names, row, strict=True))
    facts["state"] = State(facts["state"])
    facts["error"] = None if facts["error"] is None else tuple(json.loads(facts["error"]))
    facts["paths"] = tuple(json.loads(facts["paths"]))
    return Record(**facts)
