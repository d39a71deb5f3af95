"""Remembers, durably before it answers: what one session writes down of its submissions and uploads.

What it keeps of the API key is a salted fingerprint, so that a row made under another key is recognised, never the key.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, evolve, field

from rh_async.errors import JournalError, KeyConflict
from rh_async.types import TaskId, Upload

from .group_commit import GroupCommit
from .lease import ProcessLease
from .records import REUSABLE_STATES, SubmissionRecord, SubmissionState, may_move, read_folder, stored_folder
from .sqlite_file import JournalFile, backup, named

__all__ = ["Journal", "TaskConflict", "backup"]

T = TypeVar("T")

_PAGE = 500  # rows that are in memory at once where all are read

_COLUMNS = (
    "key, attempt, state, owner, endpoint, inputs, nonce, task_id, claimed_utc, submitted_utc, noticed_utc, raw, error,"
    " folder, paths, driving, contents, status"
)

_THIS = "site = ? AND key = ? AND attempt = ? AND state = ? AND owner = ?"
"""A row as its reader knew it: whoever else has moved it meanwhile is found out by there being none."""


_MINE = "site = ? AND nonce = ? AND state = ? AND owner = ?"


class TaskConflict(JournalError):
    """A task that the server names for one submission is another's already."""


@define(eq=False, kw_only=True, repr=False)
class Journal:
    """One site's rows in one file, as one session sees them.

    :param path: the SQLite file; made if missing, readable by its owner alone.
    :param wall: tells the time of day.
    :param most: how many moves go into one commit, at most; None for all that wait.
    :param on_held: told once when the file cannot be written for now, with the seconds until the next attempt.
    """

    path: Path
    site: str
    wall: Callable[[], datetime]
    most: int | None = None
    on_held: Callable[[float], None] = lambda _: None
    owner: ProcessLease = field(init=False)
    _file: JournalFile = field(init=False)
    _writer: GroupCommit = field(init=False)
    _fingerprint: str = field(default="", init=False)

    # --- one lifetime ------------------------------------------------------------------------------------------------

    async def open(self, api_key: str) -> None:
        """Open the file, and show a sign of life beside it.

        :raises JournalError: it is no journal, newer than this program, corrupt, or cannot be written.
        """
        self.owner = ProcessLease(self.path.with_name(self.path.name + ".owners"))
        self._file = JournalFile(self.path, self.owner)
        self._writer = GroupCommit(file=self._file, most=self.most, on_held=self.on_held)
        self._writer.open()
        try:
            await self._writer.in_thread(self._file.open)
        except JournalError:
            self._writer.thread.shutdown(wait=False)
            raise
        self._fingerprint = hashlib.blake2b(api_key.encode(), salt=self._file.salt, digest_size=16).hexdigest()

    async def close(self) -> None:
        """Write what is still to be written, and be gone."""
        await self._writer.finish()
        await self._writer.in_thread(self._file.close)
        self._writer.thread.shutdown(wait=False)

    @property
    def commits(self) -> int:
        """How many transactions were made durable."""
        return self._writer.commits

    @property
    def moves(self) -> int:
        """How many moves they held."""
        return self._writer.moves

    @property
    def _db(self) -> sqlite3.Connection:
        return self._file.db

    # --- moves -------------------------------------------------------------------------------------------------------

    async def claim(
        self, fresh: SubmissionRecord, *, resubmit: bool = False, after: int | None = None, gone: int | None = None
    ) -> SubmissionRecord:
        """Claim a key for this session, or tell who has it.

        :param fresh: what to write down; its attempt and owner are filled in.
        :param resubmit: whether the next attempt is opened whatever became of the last.
        :param after: only if the last is this one; else somebody else was faster.
        :param gone: the lost attempt that the server has just said it does not know: no other lost one is followed.
        :return: the claimed record, owned by this session; or the last one, owned by whoever has it.
        :raises KeyConflict: the key's last row was made under another API key: submitting it anew could buy it twice.
        :raises JournalError: it could not be made durable.
        :raises asyncio.CancelledError: it is not claimed.
        """
        try:
            return await self._writer.intend(lambda: self._claim(fresh, resubmit, after, gone))
        except asyncio.CancelledError:
            self._take_back(f"DELETE FROM jobs WHERE {_MINE}", SubmissionState.CLAIMED, fresh.webhook_token)  # noqa: S608
            raise

    def _claim(self, fresh: SubmissionRecord, resubmit: bool, after: int | None, gone: int | None) -> SubmissionRecord:
        row = self._db.execute(
            f"SELECT {_COLUMNS}, fingerprint FROM jobs WHERE site = ? AND key = ? ORDER BY attempt DESC LIMIT 1",  # noqa: S608
            (self.site, fresh.key),
        ).fetchone()
        if row is None:
            return self._insert(evolve(fresh, attempt=1))
        last = _record(row[:-1])
        if row[-1] != self._fingerprint and last.state not in REUSABLE_STATES:
            raise KeyConflict(f"the key {fresh.key} was submitted under another API key", key=fresh.key)
        if last.state is SubmissionState.CLAIMED and (
            last.owner == self.owner.name or not self.owner.alive(last.owner)
        ):
            return self._insert(evolve(fresh, attempt=last.attempt))
        if last.state is SubmissionState.SUBMITTING and not self.owner.alive(last.owner):
            last = self._update(last, SubmissionState.UNCERTAIN)
        wanted = resubmit and after in {None, last.attempt}
        if last.state is SubmissionState.LOST and last.attempt != gone:
            wanted = False
        over = last.state in REUSABLE_STATES or (
            wanted and last.state not in {SubmissionState.CLAIMED, SubmissionState.SUBMITTING}
        )
        return self._insert(evolve(fresh, attempt=last.attempt + 1)) if over else last

    def _insert(self, record: SubmissionRecord) -> SubmissionRecord:
        mine = evolve(record, owner=self.owner.name, claimed_utc=self.wall().isoformat())
        values = (self.site, self._fingerprint, *_values(mine))
        marks = ", ".join("?" * len(values))
        self._db.execute(f"INSERT OR REPLACE INTO jobs (site, fingerprint, {_COLUMNS}) VALUES ({marks})", values)  # noqa: S608
        return mine

    async def transition(self, record: SubmissionRecord, to: SubmissionState, **facts: Any) -> SubmissionRecord:
        """Make one move durable before it is acted upon.

        :param facts: fields of the record that it changes.
        :return: the record as it stands now.
        :raises JournalError: the table has no such move, somebody else moved it, or it could not be made durable.
        """
        return await self._writer.intend(lambda: self._update(record, to, **facts))

    async def mark_submitting(self, record: SubmissionRecord) -> SubmissionRecord:
        """Make durable that a claimed record's POST is about to leave.

        :raises JournalError: as for `move`.
        :raises asyncio.CancelledError: it is still claimed, and may not leave.
        """
        try:
            return await self.transition(record, SubmissionState.SUBMITTING)
        except asyncio.CancelledError:
            change = f"UPDATE jobs SET state = '{SubmissionState.CLAIMED}' WHERE {_MINE}"  # noqa: S608
            self._take_back(change, SubmissionState.SUBMITTING, record.webhook_token)
            raise

    async def record_transition(self, record: SubmissionRecord, to: SubmissionState, **facts: Any) -> None:
        """Write down a move that has happened; return before it is durable where the file cannot be written for now.

        :param facts: as for `move`.
        :raises TaskConflict: another record has the task that this one is said to have bought.
        :raises JournalError: the table has no such move, or somebody else moved it.
        """
        task = facts.get("task_id", record.task_id)
        says = f"key {record.key}, task {task} is {to}"
        await self._writer.note(lambda: self._update(record, to, **facts), says=says)

    def _take_back(self, change: str, state: SubmissionState, webhook_token: str) -> None:
        """Undo, if it was made, what its caller gave up while it was being made."""
        values = (self.site, webhook_token, state, self.owner.name)
        self._writer.note_soon(lambda: self._db.execute(change, values))

    def _update(self, record: SubmissionRecord, to: SubmissionState, **facts: Any) -> SubmissionRecord:
        if not may_move(record.state, to):
            raise JournalError(f"{record.key}: nothing moves from {record.state} to {to}", key=record.key)
        self._refuse_a_held_task(record, facts.get("task_id"))
        moved = evolve(record, state=to, **facts)
        names = [f"{name.strip()} = ?" for name in _COLUMNS.split(",")]
        changed = self._db.execute(
            f"UPDATE jobs SET {', '.join(names)} WHERE {_THIS}",  # noqa: S608
            (*_values(moved), self.site, record.key, record.attempt, record.state, record.owner),
        ).rowcount
        if not changed:
            raise JournalError(f"{record.key}: somebody else has moved it meanwhile", key=record.key)
        return moved

    def _refuse_a_held_task(self, record: SubmissionRecord, task_id: TaskId | None) -> None:
        holder = self._db.execute(
            "SELECT key, attempt FROM jobs WHERE site = ? AND task_id = ?", (self.site, task_id)
        ).fetchone()
        if holder is not None and holder != (record.key, record.attempt):
            raise TaskConflict(f"the task belongs to the submission {holder[0]}", key=record.key, task_id=task_id)

    async def record_status(self, record: SubmissionRecord) -> None:
        """Keep the server's last word on a running task, unless it has been moved meanwhile."""
        values = (record.status, self.site, record.key, record.attempt, record.state, record.owner)
        await self._writer.note(lambda: self._db.execute(f"UPDATE jobs SET status = ? WHERE {_THIS}", values))  # noqa: S608

    async def mark_saved(self, task_id: TaskId, paths: tuple[str, ...]) -> None:
        """A settled task's outputs are on disk; whoever brought them there, and however often."""
        where = "site = ? AND task_id = ? AND state = ?"
        values = (SubmissionState.SAVED, json.dumps(paths), self.site, task_id, SubmissionState.SETTLED)
        change = f"UPDATE jobs SET state = ?, paths = ? WHERE {where}"  # noqa: S608
        await self._writer.note(lambda: self._db.execute(change, values))

    async def release(self, record: SubmissionRecord) -> None:
        """Give a claim up that was never sent."""
        values = (self.site, record.key, record.attempt, SubmissionState.CLAIMED, self.owner.name)
        await self._writer.note(lambda: self._db.execute(f"DELETE FROM jobs WHERE {_THIS}", values))  # noqa: S608

    async def take_over(self, record: SubmissionRecord) -> SubmissionRecord:
        """Take over what a dead owner left, or what is nobody's any more.

        :raises JournalError: its owner lives, somebody else took it, or it could not be made durable.
        """
        return await self._writer.intend(lambda: self._inherit(record))

    def _inherit(self, record: SubmissionRecord) -> SubmissionRecord:
        carried = record.state in {SubmissionState.CLAIMED, SubmissionState.SUBMITTING, SubmissionState.SUBMITTED}
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

    async def find(self, key: str) -> SubmissionRecord | None:
        """The last attempt of a key."""
        rows = await self._rows("key = ? ORDER BY attempt DESC LIMIT 1", key)
        return rows[0] if rows else None

    async def find_by_task(self, task_id: TaskId) -> SubmissionRecord | None:
        """The attempt that bought a task."""
        rows = await self._rows("task_id = ?", task_id)
        return rows[0] if rows else None

    async def find_by_webhook_token(self, webhook_token: str) -> SubmissionRecord | None:
        """The attempt in whose webhook address a token travels."""
        rows = await self._rows("nonce = ?", webhook_token) if webhook_token else []
        return rows[0] if rows else None

    async def list_in_states(self, states: Iterable[SubmissionState]) -> list[SubmissionRecord]:
        """Every attempt in one of these states, oldest first."""
        wanted = list(states)
        return await self._rows(f"state IN ({', '.join('?' * len(wanted))}) ORDER BY claimed_utc", *wanted)

    async def page(
        self, states: Collection[SubmissionState], prefix: str, *, after: int
    ) -> list[tuple[int, SubmissionRecord]]:
        """The next attempts in one of some states whose key begins so, as they were made, each with its place.

        :param after: the place of the last one that was read; 0 for none.
        """
        marks = ", ".join("?" * len(states))
        chosen = (
            f"SELECT rowid, fingerprint, {_COLUMNS} FROM jobs WHERE rowid > ? AND +site = ? AND state IN ({marks})"  # noqa: S608
            " AND substr(key, 1, ?) = ? ORDER BY rowid LIMIT ?"
        )
        values = (after, self.site, *states, len(prefix), prefix, _PAGE)

        def read() -> list[tuple[int, SubmissionRecord]]:
            rows = self._db.execute(chosen, values).fetchall()
            return [(row[0], evolve(_record(row[2:]), foreign=row[1] != self._fingerprint)) for row in rows]

        return await self._read(read)

    async def _rows(self, where: str, *values: object) -> list[SubmissionRecord]:
        def read() -> list[SubmissionRecord]:
            chosen = f"SELECT {_COLUMNS}, fingerprint FROM jobs WHERE site = ? AND {where}"  # noqa: S608
            rows = self._db.execute(chosen, (self.site, *values))
            return [evolve(_record(row[:-1]), foreign=row[-1] != self._fingerprint) for row in rows]

        return await self._read(read)

    async def last_settled(self, endpoint: str, *, most: int) -> list[SubmissionRecord]:
        """The last attempts at a model whose end is known: how long they ran teaches the timetable."""
        where = (
            "endpoint = ? AND state IN ('settled', 'saved') AND error IS NULL AND submitted_utc IS NOT NULL"
            " AND noticed_utc IS NOT NULL ORDER BY noticed_utc DESC"
        )
        return await self._rows(f"{where} LIMIT ?", endpoint, most)

    # --- what else it keeps ------------------------------------------------------------------------------------------

    async def find_upload(self, sha256: str, size: int) -> tuple[Upload, float] | None:
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

        return await self._read(read)

    async def save_upload(self, upload: Upload, *, life: float) -> None:
        """Keep what an upload was answered.

        :param life: for how many seconds its link serves.
        """
        until = self.wall().timestamp() + life
        values = (self.site, self._fingerprint, upload.sha256, upload.size, upload.file_name, upload.url, until)
        keep = "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)"
        await self._writer.note(lambda: self._db.execute(keep, values))

    async def forget_upload(self, sha256: str) -> None:
        """The server no longer knows this content."""
        values = (self.site, self._fingerprint, sha256)
        await self._writer.note(
            lambda: self._db.execute("DELETE FROM uploads WHERE site = ? AND fingerprint = ? AND sha256 = ?", values)
        )

    async def _read(self, act: Callable[[], T]) -> T:
        def read() -> T:
            try:
                return act()
            except (sqlite3.Error, OSError) as error:
                raise named(error, self.path) from error

        return await self._writer.in_thread(read)


def _values(record: SubmissionRecord) -> tuple[Any, ...]:
    error = None if record.error is None else json.dumps(record.error)
    return (
        *(record.key, record.attempt, record.state, record.owner, record.endpoint, record.inputs, record.webhook_token),
        *(record.task_id, record.claimed_utc, record.submitted_utc, record.noticed_utc, record.raw),
        *(error, stored_folder(record.folder), json.dumps(record.paths), record.driving),
        *(record.contents, record.status),
    )


def _record(row: tuple[Any, ...]) -> SubmissionRecord:
    names = [name.strip() for name in _COLUMNS.split(",")]
    facts = dict(zip(names, row, strict=True))
    facts["webhook_token"] = facts.pop("nonce")
    facts["state"] = SubmissionState(facts["state"])
    facts["error"] = None if facts["error"] is None else tuple(json.loads(facts["error"]))
    facts["folder"] = read_folder(facts["folder"])
    facts["paths"] = tuple(json.loads(facts["paths"]))
    return SubmissionRecord(**facts)
