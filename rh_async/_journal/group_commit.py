"""Makes changes durable: on one thread of its own, many changes in one transaction.

An intent (a change that the caller is about to act upon) fails if it cannot be written. A fact (a change that has
happened) is kept until it is written, in order, and no caller waits for it while the store cannot be written.
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

from .store import JournalStore

log = logging.getLogger(__name__)

T = TypeVar("T")

_Outcome = tuple[Any, Exception | None]
"""What became of a change: its value, or what was wrong with it."""

_GATHERING = 0.002  # seconds in which changes gather for one commit: little beside a POST, much beside a lone fsync
_RETRY_AFTER = 0.5  # seconds between two attempts while the store cannot be written
_IDLE = 1.0  # seconds without a change after which the store does its housekeeping
_COMMITS_IN_LOG = 500  # after so many commits it does so in between, too, or a write-ahead log would grow for ever
_CLOSE_TIMEOUT = 300.0  # seconds that closing waits for a lock that another process holds


@define(eq=False)
class _Change:
    """One change that waits for its commit.

    :param fact: whether it has happened already, so that it must be written however late.
    :param done: resolved with what became of it; early for a fact whose caller waits no longer.
    :param summary: names the job and what happened, for the log, should the change never be written.
    """

    act: Callable[[], Any]
    fact: bool
    done: asyncio.Future[Any]
    summary: str = ""

    def resolve(self, value: object, error: Exception | None) -> None:
        """Hand the outcome to the caller, if it still waits."""
        if self.done.done():
            if error is not None and self.fact:
                log.error("rh_async.journal_failed %s", error)
        elif error is None:
            self.done.set_result(value)
        else:
            self.done.set_exception(error)


@frozen
class _Failure:
    """Why an attempt wrote nothing at all.

    :param transient: whether that passes by itself: a lock that another process holds, no descriptor left.
    """

    error: RHError
    transient: bool


@define(eq=False, kw_only=True, repr=False)
class GroupCommit:
    """The one writer of a journal's store in this session.

    :param store: what is written; only ever touched on the thread.
    :param most: how many changes go into one commit, at most; None for all that wait.
    :param on_held: called once when the store cannot be written for now, with the seconds until the next attempt.
    :ivar commits: how many transactions were made durable.  :ivar changes: how many changes they held.
    :ivar draining: the task that writes, while there is something to write.
    """

    store: JournalStore
    most: int | None = None
    on_held: Callable[[float], None] = lambda _: None
    commits: int = field(default=0, init=False)
    changes: int = field(default=0, init=False)
    draining: asyncio.Task[None] | None = field(default=None, init=False)
    thread: ThreadPoolExecutor = field(init=False)
    queue: deque[_Change] = field(factory=deque, init=False)
    _failure: _Failure | None = field(default=None, init=False)  #: of the last attempt
    _in_log: int = field(default=0, init=False)
    _idle: asyncio.TimerHandle | None = field(default=None, init=False)
    _compacting: asyncio.Future[None] | None = field(default=None, init=False)
    _closing: bool = field(default=False, init=False)

    def open(self) -> None:
        """Make the thread."""
        self.thread = ThreadPoolExecutor(1, "rh_async journal")

    async def finish(self) -> None:
        """Write what is still to be written; log what cannot be.

        A lock that another process holds is waited for; a store that cannot be written at all is tried once more.
        """
        self._closing = True
        if self.draining is not None:
            await asyncio.wait({self.draining}, timeout=_CLOSE_TIMEOUT)
        if self.draining is not None:
            self.draining.cancel()
            await asyncio.wait({self.draining})
        self._cancel_idle()
        if self.queue:
            log.error("rh_async.journal_unwritten %s lacks %d changes", self.store.location, len(self.queue))
            for change in self.queue:  # a task id that is written nowhere else is a video that is paid and lost
                if change.summary:
                    log.error("rh_async.journal_unwritten %s", change.summary)
            self.queue.clear()

    async def in_thread(self, act: Callable[[], T]) -> T:
        """Do something on the thread, between two commits."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, act)

    async def intend(self, act: Callable[[], T]) -> T:
        """Make a change durable. Cancelled while it waits, it is not made; while it is being written, it may be.

        :raises JournalError: it could not be made durable, and was not made.
        """
        change = self._enqueue(act, fact=False)
        try:
            # Shielded: a cancelled future that the writer resolves later would raise in the writer.
            value: T = await asyncio.shield(change.done)
        except asyncio.CancelledError:
            change.done.cancel()  # the writer leaves it out, if it has not begun with it
            raise
        return value

    async def note(self, act: Callable[[], object], *, summary: str = "") -> None:
        """Make durable what has happened; while the store cannot be written, return, and write it later.

        :param summary: names the job and what happened, for the log, should it never be written.
        :raises JournalError: this one change cannot be written, whatever the state of the store.
        """
        change = self._enqueue(act, fact=True)
        change.summary = summary
        if self._failure is not None:
            change.done.set_result(None)
        await asyncio.shield(change.done)  # a cancelled caller must not keep a fact from being written

    def note_soon(self, act: Callable[[], object]) -> None:
        """Do the same, and wait for nothing."""
        self._enqueue(act, fact=True).done.set_result(None)

    def _enqueue(self, act: Callable[[], Any], *, fact: bool) -> _Change:
        change = _Change(act, fact, asyncio.get_running_loop().create_future())
        self.queue.append(change)
        self._cancel_idle()
        if self.draining is None:
            self.draining = asyncio.create_task(self._drain(), name="rh_async journal")
        return change

    # --- from the queue into the store -------------------------------------------------------------------------------

    async def _drain(self) -> None:
        try:
            while self.queue:
                await asyncio.sleep(_GATHERING)
                batch = [self.queue.popleft() for _ in range(min(len(self.queue), self.most or len(self.queue)))]
                unwritten = await self._write([change for change in batch if not change.done.cancelled()])
                self.queue.extendleft(reversed(unwritten))  # ahead of younger changes: order is kept
                if self._failure is not None:
                    if self._closing and not self._failure.transient:
                        return
                    await asyncio.sleep(_RETRY_AFTER)
        finally:
            self.draining = None
        self._idle = asyncio.get_running_loop().call_later(_IDLE, self._compact_soon)

    async def _write(self, batch: list[_Change]) -> list[_Change]:
        """Write one batch; return what of it is to be tried again."""
        try:
            outcomes = await self.in_thread(partial(self._attempt, batch))
        except asyncio.CancelledError:
            cancelled = JournalError("the journal's writer was cancelled from outside")
            for change in batch:
                change.resolve(None, cancelled.fresh())
            raise
        if isinstance(outcomes, _Failure):
            return self._hold(batch, outcomes)
        self._failure = None
        for change, (value, error) in zip(batch, outcomes, strict=True):
            change.resolve(value, error)
        return []

    def _hold(self, batch: list[_Change], failure: _Failure) -> list[_Change]:
        """After a failed attempt, let go the callers of facts, and of intents unless the failure passes by itself.

        :return: what is to be tried again: every fact, and the intents whose callers still wait.
        """
        if self._failure is None:
            log.warning("rh_async.journal_held %s", failure.error)
            self.on_held(_RETRY_AFTER)
        self._failure = failure
        again = []
        for change in batch:
            if change.fact and not change.done.done():
                change.done.set_result(None)
            if change.fact or (failure.transient and not self._closing):
                again.append(change)
            else:
                change.resolve(None, failure.error.fresh())
        return again

    def _attempt(self, batch: list[_Change]) -> list[_Outcome] | _Failure:
        """Make changes in one transaction; runs on the thread."""
        try:
            with self.store.transaction() as lost:
                outcomes = [self._make(change, lost) for change in batch]
        except Exception as error:  # noqa: BLE001 - whatever it is, callers get it, and facts are kept
            return _Failure(self.store.describe(error), self.store.is_transient(error))
        self.commits += 1
        self.changes += len(batch)
        self._in_log += 1
        if self._in_log >= _COMMITS_IN_LOG:
            self._compact()
        return outcomes

    def _make(self, change: _Change, lost: JournalError | None) -> _Outcome:
        """Make one change; if only this one cannot be made, it fails alone, and its neighbours are committed.

        :param lost: why nothing may be submitted by this store any more; None if it may.
        """
        if lost is not None and not change.fact:
            return None, lost.fresh()
        try:
            with self.store.savepoint():
                return change.act(), None
        except Exception as error:
            if self.store.spoils_transaction(error):
                raise
            return None, self.store.describe(error)

    # --- housekeeping ------------------------------------------------------------------------------------------------

    def _cancel_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _compact_soon(self) -> None:
        self._idle = None
        self._compacting = asyncio.get_running_loop().run_in_executor(self.thread, self._compact)

    def _compact(self) -> None:
        self._in_log = 0
        self.store.compact()
