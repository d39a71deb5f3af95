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
from rh_async._journal.sqlite import Journal

_CHANGES = ("claim", "transition", "record_transition", "record_status", "mark_saved", "release", "take_over")


class Killed(Exception):
    """What a dead session gets from its journal: never an answer."""


@define(eq=False)
class Assassin:
    """Kills one session at the nth change of its journal.

    :ivar met: every change that was asked for, as ``from→to``.
    :ivar struck: the change at which it killed; "" if it was never come to.
    """

    met: set[str] = field(factory=set)
    struck: str = ""
    died: asyncio.Event = field(factory=asyncio.Event)
    _target: Journal | None = None
    _left: int = 0
    _after: bool = False
    _move: str = ""
    _dead: set[Journal] = field(factory=set)

    def aim(self, session: Session, number: int, *, after: bool, move: str = "") -> None:
        """Wait for a session's nth change, of all or of one move, and kill before it is made or once it is durable."""
        self._target, self._left, self._after, self._move = journal_of(session), number, after, move
        self.struck, self.died = "", asyncio.Event()

    def kill(self, journal: Journal) -> None:
        """Let nothing more through, and drop the lock; its file stays, since nobody is left to remove it."""
        self._dead.add(journal)
        for change in journal._writer.queue:
            if not change.end.done():
                change.end.set_exception(Killed())
                change.end.exception()  # it may be that nobody waits any more
        journal._writer.queue.clear()
        assert journal.owner._file is not None
        os.close(journal.owner._file)
        journal.owner._file = None
        self.died.set()

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand between every session and its journal."""
        for name in _CHANGES:
            monkeypatch.setattr(Journal, name, self._between(name, getattr(Journal, name)))
        rows = Journal._rows

        async def read(journal: Journal, *args: Any) -> Any:
            self._no_ghost(journal)
            return await rows(journal, *args)

        monkeypatch.setattr(Journal, "_rows", read)

    def _between(self, name: str, change: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def changed(journal: Journal, *args: Any, **facts: Any) -> Any:
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

    def _strike(self, journal: Journal, label: str) -> None:
        self.struck = label
        self.kill(journal)
        raise Killed

    def _no_ghost(self, journal: Journal) -> None:
        if journal in self._dead:
            raise Killed


def journal_of(session: Session) -> Journal:
    """The journal of an open session."""
    assert session._runtime is not None
    assert session._runtime.journal is not None
    return session._runtime.journal


async def bury(session: Session) -> None:
    """Take away what is left of a killed session: its tasks, its sockets, its thread. Nothing is written."""
    services, journal = session._runtime, journal_of(session)
    assert services is not None
    assert journal.owner._file is None
    services._host.cancel()
    await services.transport.close()
    await asyncio.wait({services._host})
    while journal._writer.draining is not None:
        await asyncio.wait({journal._writer.draining})
    journal._writer._rest()
    await journal._writer.in_thread(journal._db.close)
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


def rows_of(book: Path) -> list[Row]:
    """Every row of a journal, oldest attempt first."""
    connection = sqlite3.connect(book)
    try:
        found = connection.execute("SELECT key, attempt, state, owner, task_id, error FROM jobs ORDER BY key, attempt")
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found]
    finally:
        connection.close()
    return [Row(**{**row, "state": SubmissionState(row["state"])}) for row in rows]
