"""Kills a session where it stands, as SIGKILL would: no later write, no goodbye, its lock dropped by the kernel."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field, frozen

from rh_async import Session
from rh_async._journal.records import SubmissionState
from rh_async._journal.sqlite import SqliteStore
from rh_async._journal.submission_journal import SubmissionJournal

_CHANGES = ("claim", "transition", "record_transition", "record_status", "mark_saved", "release", "take_over")


class Killed(Exception):
    """What a dead session gets from its journal: never an answer."""


@define(eq=False)
class SessionKiller:
    """Kills one session at the nth change of its journal.

    :ivar met: every change that was asked for, as ``from→to``.
    :ivar struck: the change at which it killed; "" if it was never come to.
    """

    met: set[str] = field(factory=set)
    struck: str = ""
    died: asyncio.Event = field(factory=asyncio.Event)
    _target: SubmissionJournal | None = None
    _left: int = 0
    _after: bool = False
    _move: str = ""
    _dead: set[SubmissionJournal] = field(factory=set)

    def aim(self, session: Session, number: int, *, after: bool, move: str = "") -> None:
        """Wait for a session's nth change, of all or of one move, and kill before it is made or once it is durable."""
        self._target, self._left, self._after, self._move = journal_of(session), number, after, move
        self.struck, self.died = "", asyncio.Event()

    def kill(self, journal: SubmissionJournal) -> None:
        """Let nothing more through, and drop the lock; its file stays, as a killed process leaves it."""
        self._dead.add(journal)
        for change in journal._writer.queue:
            if not change.done.done():
                change.done.set_exception(Killed())
                change.done.exception()  # read, since its caller may not wait any more
        journal._writer.queue.clear()
        drop_lock(journal)
        self.died.set()

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand between every session and its journal."""
        for name in _CHANGES:
            monkeypatch.setattr(SubmissionJournal, name, self._between(name, getattr(SubmissionJournal, name)))
        reads = SubmissionJournal._read

        async def read(journal: SubmissionJournal, *args: Any) -> Any:
            self._no_ghost(journal)
            return await reads(journal, *args)

        monkeypatch.setattr(SubmissionJournal, "_read", read)

    def _between(self, name: str, change: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def changed(journal: SubmissionJournal, *args: Any, **facts: Any) -> Any:
            self._no_ghost(journal)
            label, fatal = _label(name, args), False
            if journal is self._target:
                self.met.add(label)
                self._left -= label.endswith(self._move)
                fatal = label.endswith(self._move) and self._left == 0
            if fatal and not self._after:
                self._strike(journal, label)
            answer = await change(journal, *args, **facts)
            self._no_ghost(journal)
            if fatal:
                self._strike(journal, label)
            return answer

        return changed

    def _strike(self, journal: SubmissionJournal, label: str) -> None:
        self.struck = label
        self.kill(journal)
        raise Killed

    def _no_ghost(self, journal: SubmissionJournal) -> None:
        if journal in self._dead:
            raise Killed


def journal_of(session: Session) -> SubmissionJournal:
    """The journal of an open session."""
    assert session._lifetime.runtime is not None
    assert session._lifetime.runtime.journal is not None
    return session._lifetime.runtime.journal


def sqlite_of(journal: SubmissionJournal) -> SqliteStore:
    """The store of a journal that is kept in SQLite."""
    assert isinstance(journal.store, SqliteStore)
    return journal.store


def drop_lock(journal: SubmissionJournal) -> None:
    """Drop a session's lock and leave its file, as the kernel does for a killed process."""
    lease = sqlite_of(journal).lease
    assert lease._file is not None
    os.close(lease._file)
    lease._file = None


async def bury(session: Session) -> None:
    """Take away what is left of a killed session: its tasks, its sockets, its thread. Nothing is written."""
    services, journal = session._lifetime.runtime, journal_of(session)
    assert services is not None
    assert sqlite_of(journal).lease._file is None
    services._host.cancel()
    await services.transport.close()
    await asyncio.wait({services._host})
    while journal._writer.draining is not None:
        await asyncio.wait({journal._writer.draining})
    journal._writer._cancel_idle()
    await journal._writer.in_thread(sqlite_of(journal)._db.close)
    journal._writer.thread.shutdown(wait=False)


def _label(name: str, args: tuple[Any, ...]) -> str:
    if name in {"transition", "record_transition"}:
        return f"{args[0].state}→{args[1]}"
    return {"claim": "→claimed", "mark_saved": "settled→saved", "release": "claimed→"}.get(name, name)


@frozen(kw_only=True)
class Row:
    """One attempt, as SQLite alone reads it."""

    key: str
    attempt: int
    state: SubmissionState
    owner: str
    task_id: str | None
    error: str | None


def rows_of(journal_path: Path) -> list[Row]:
    """Every row of a journal, oldest attempt first."""
    connection = sqlite3.connect(journal_path)
    try:
        found = connection.execute("SELECT key, attempt, state, owner, task_id, error FROM jobs ORDER BY key, attempt")
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found]
    finally:
        connection.close()
    return [Row(**{**row, "state": SubmissionState(row["state"])}) for row in rows]
