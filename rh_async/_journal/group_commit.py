"""Makes changes of one SQLite file durable: on one thread of its own, many changes in one transaction.

A change that the caller means to make (an intent) fails if it cannot be written. A change that says what has already
happened (a fact) is kept until it is written, in order, and nobody waits for it while the file cannot be written.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from attrs import define, field, frozen

from rh_async.errors import JournalError, RHError

from .sqlite_file import JournalFile, named, passes, spoils_all

log = logging.getLogger(__name__)

T = TypeVar("T")

_End = tuple[Any, Exception | None]
"""How a change went: its value, or what was wrong with it."""

_GATHERING = 0.002  # seconds in which changes gather for one commit: little beside a POST, much beside a lone fsync
_AGAIN = 0.5  # seconds between two attempts while the file cannot be written
_IDLE = 1.0  # seconds without a change after which the write-ahead log is copied into the file
_COMMITS_IN_LOG = 500  # after so many commits that is done in between, too, lest the log grow for ever
_PATIENCE = 300.0  # seconds that closing waits for a lock that another process holds


@define(eq=False)
class _Change:
    """One change that waits for its commit.

    :param fact: whether it tells what has happened already.
    :param end: how it went, for whoever waits; done early for a fact that nobody waits for any more.
    :param says: names the job and what happened, for the log, should the change never be written.
    """

    act: Callable[[], Any]
    fact: bool
    end: asyncio.Future[Any]
    says: str = ""

    def ended(self, value: object, error: Exception | None) -> None:
        """Tell how it went."""
        if self.end.done():
            if error is not None and self.fact:
                log.error("rh_async.journal_failed %s", error)
        elif error is None:
            self.end.set_result(value)
        else:
            self.end.set_exception(error)


@frozen
class _Failure:
    """Why an attempt wrote nothing at all.

    :param passing: whether that passes by itself: a lock that another process holds, no descriptor left.
    """

    error: RHError
    passing: bool


@define(eq=False, kw_only=True, repr=False)
class GroupCommit:
    """The one writer of a journal's file in this session.

    :param file: what is written; only ever touched on the thread.
    :param most: how many changes go into one commit, at most; None for all that wait.
    :param on_held: told once when the file cannot be written for now, with the seconds until the next attempt.
    :ivar commits: how many transactions were made durable.  :ivar moves: how many changes they held.
    :ivar draining: the task that writes, while there is something to write.
    """

    file: JournalFile
    most: int | None = None
    on_held: Callable[[float], None] = lambda _: None
    commits: int = field(default=0, init=False)
    moves: int = field(default=0, init=False)
    draining: asyncio.Task[None] | None = field(default=None, init=False)
    thread: ThreadPoolExecutor = field(init=False)
    queue: deque[_Change] = field(factory=deque, init=False)
    _failure: _Failure | None = field(default=None, init=False)  #: of the last attempt
    _in_log: int = field(default=0, init=False)
    _idle: asyncio.TimerHandle | None = field(default=None, init=False)
    _copying: asyncio.Future[None] | None = field(default=None, init=False)
    _closing: bool = field(default=False, init=False)

    def open(self) -> None:
        """Make the thread."""
        self.thread = ThreadPoolExecutor(1, "rh_async journal")

    async def finish(self) -> None:
        """Write what is still to be written; what cannot be is logged.

        A lock that another process holds is waited for; a file that cannot be written at all is tried once more.
        """
        self._closing = True
        if self.draining is not None:
            await asyncio.wait({self.draining}, timeout=_PATIENCE)
        if self.draining is not None:
            self.draining.cancel()
            await asyncio.wait({self.draining})
        self._rest()
        if self.queue:
            log.error("rh_async.journal_unwritten %s lacks %d changes", self.file.path, len(self.queue))
            for change in self.queue:  # a task id that stands nowhere else is a video that is paid and lost
                if change.says:
                    log.error("rh_async.journal_unwritten %s", change.says)
            self.queue.clear()

    async def in_thread(self, act: Callable[[], T]) -> T:
        """Do something on the thread, between two commits."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, act)

    async def intend(self, act: Callable[[], T]) -> T:
        """Make a change durable. Given up while it waits, it is not made; while it is being made, it may be.

        :raises JournalError: it could not be made durable, and was not made.
        """
        change = self._queued(act, fact=False)
        try:
            end: T = await asyncio.shield(change.end)
        except asyncio.CancelledError:
            change.end.cancel()
            raise
        return end

    async def note(self, act: Callable[[], object], *, says: str = "") -> None:
        """Make durable what has happened; while the file cannot be written, return, and write it later.

        :param says: names the job and what happened, for the log, should it never be written.

        :raises JournalError: this one change cannot be written, whatever the state of the file.
        """
        change = self._queued(act, fact=True)
        change.says = says
        if self._failure is not None:
            change.end.set_result(None)
        await asyncio.shield(change.end)

    def note_soon(self, act: Callable[[], object]) -> None:
        """Do the same, and wait for nothing."""
        self._queued(act, fact=True).end.set_result(None)

    def _queued(self, act: Callable[[], Any], *, fact: bool) -> _Change:
        change = _Change(act, fact, asyncio.get_running_loop().create_future())
        self.queue.append(change)
        self._rest()
        if self.draining is None:
            self.draining = asyncio.create_task(self._drain(), name="rh_async journal")
        return change

    # --- from the queue into the file --------------------------------------------------------------------------------

    async def _drain(self) -> None:
        try:
            while self.queue:
                await asyncio.sleep(_GATHERING)
                batch = [self.queue.popleft() for _ in range(min(len(self.queue), self.most or len(self.queue)))]
                again = await self._written([change for change in batch if not change.end.cancelled()])
                self.queue.extendleft(reversed(again))
                if self._failure is not None:
                    if self._closing and not self._failure.passing:
                        return
                    await asyncio.sleep(_AGAIN)
        finally:
            self.draining = None
        self._idle = asyncio.get_running_loop().call_later(_IDLE, self._copy_log)

    async def _written(self, batch: list[_Change]) -> list[_Change]:
        """Write one batch; what of it is to be tried again."""
        try:
            ends = await self.in_thread(partial(self._attempt, batch))
        except asyncio.CancelledError:
            lost = JournalError("the journal's writer was cancelled from outside")
            for change in batch:
                change.ended(None, lost.fresh())
            raise
        if isinstance(ends, _Failure):
            return self._held(batch, ends)
        self._failure = None
        for change, (value, error) in zip(batch, ends, strict=True):
            change.ended(value, error)
        return []

    def _held(self, batch: list[_Change], failure: _Failure) -> list[_Change]:
        """Nothing could be written: nobody waits for a fact, and an intent waits only for what passes by itself."""
        if self._failure is None:
            log.warning("rh_async.journal_held %s", failure.error)
            self.on_held(_AGAIN)
        self._failure = failure
        again = []
        for change in batch:
            if change.fact and not change.end.done():
                change.end.set_result(None)
            if change.fact or (failure.passing and not self._closing):
                again.append(change)
            else:
                change.ended(None, failure.error.fresh())
        return again

    def _attempt(self, batch: list[_Change]) -> list[_End] | _Failure:
        """Make changes in one transaction; runs on the thread."""
        try:
            lost = self.file.lost()
            self.file.db.execute("BEGIN IMMEDIATE")
            ends = [self._one(change, lost) for change in batch]
            self.file.db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told, and facts are kept
            self.file.roll_back()
            return _Failure(named(error, self.file.path), passes(error))
        self.commits += 1
        self.moves += len(batch)
        self._in_log += 1
        if self._in_log >= _COMMITS_IN_LOG:
            self._copy()
        return ends

    def _one(self, change: _Change, lost: JournalError | None) -> _End:
        """Make one change; if it is the one that is wrong, it alone fails, and its neighbours are kept."""
        if lost is not None and not change.fact:
            return None, lost.fresh()
        self.file.db.execute("SAVEPOINT one")
        try:
            end: _End = change.act(), None
        except Exception as error:
            if spoils_all(error) or not self.file.db.in_transaction:
                raise
            self.file.db.execute("ROLLBACK TO one")
            end = None, named(error, self.file.path)
        self.file.db.execute("RELEASE one")
        return end

    # --- from the write-ahead log into the file ----------------------------------------------------------------------

    def _rest(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _copy_log(self) -> None:
        self._idle = None
        self._copying = asyncio.get_running_loop().run_in_executor(self.thread, self._copy)

    def _copy(self) -> None:
        self._in_log = 0
        self.file.copy_log()
