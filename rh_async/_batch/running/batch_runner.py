"""Runs a plan through a session: entries in order as there is room, outcomes as they come, memory bounded.

It is an object with ``__aiter__`` and ``aclose``, not an async generator: one of those that holds tasks dies badly when
its loop is left with ``break``.
"""

from __future__ import annotations

import asyncio
import math
import weakref
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from rh_async._batch.costs.budget import NO_COST, BudgetTracker
from rh_async._batch.costs.charges import Charges
from rh_async._batch.costs.estimate import Estimate, account_of, asked, estimate_of, to_buy
from rh_async._batch.costs.price_quotes import PriceQuotes
from rh_async._batch.outputs.output_naming import OutputNaming
from rh_async._batch.outputs.output_writer import OutputWriter
from rh_async._batch.outputs.part_files import remove_leftovers
from rh_async._batch.outputs.results_log import ResultsLog
from rh_async._batch.planning.plan import Entry, Plan
from rh_async._batch.progress.entry_counter import EntryCounter
from rh_async._batch.progress.progress_counter import ProgressCounter
from rh_async._batch.progress.progress_snapshot import BatchProgress
from rh_async.errors import ConfigurationError, RHError, SessionError
from rh_async.types import Account

from .batch_outcome import BatchOutcome
from .entry_worker import BatchItem, EntryWorker
from .session_port import SessionPort

_SAVING_AHEAD = 64
"""How many results may be on the way to disk: more hold back starting, or a slow disk would fill the memory."""
_UNREAD = 256
"""How many outcomes may wait for their reader, for the same reason."""
_LOOKED_AT_ONCE = 8
_MAY_BE_LIVE = timedelta(seconds=10)
"""From a file's last byte until it has its name: that long it is open nowhere, and yet not left behind."""


@define(eq=False)
class _Lead:
    """The first entry with a key, whose fate the others share.

    :ivar outcome: once it is known, without what takes room.
    """

    followers: list[BatchItem] = field(factory=list)
    outcome: BatchOutcome | None = None


class Batch:
    """Many jobs on their way; iterate over how they end. Made by `Session.batch`; nothing starts before.

    Leaving the loop starts nothing more, takes back what was not sent and lets go of what runs, as `aclose` does.
    """

    def __init__(
        self,
        plan: Plan,
        out: Path,
        *,
        port: SessionPort,
        naming: OutputNaming | None = None,
        budget: Decimal | None = None,
        retry_failed: bool = False,
    ) -> None:
        if budget is not None and not (budget.is_finite() and budget >= 0):
            raise ConfigurationError(f"budget = {budget}: must be an amount of money")
        self._run = _Run(plan, out, port, naming=naming or OutputNaming(), budget=budget, retry_failed=retry_failed)

    @property
    def stopped(self) -> RHError | None:
        """Why nothing more is started: the account was refused, the budget is reached, the disk gave out."""
        return self._run.worker.stopped

    async def estimate(self) -> Estimate:
        """What a run would buy now, and what that costs; nothing is bought.

        What earlier runs bought is left out. The server is asked for the price of one entry of each kind, whose files
        go up for that; what it tells no price for counts by the list.

        :raises SessionError: the session ended.
        """
        return await self._run.estimate()

    def progress(self) -> BatchProgress:
        """How it stands now; cheap."""
        return self._run.counter.progress()

    def __aiter__(self) -> AsyncIterator[BatchOutcome]:
        return _Cursor(self._run)

    async def aclose(self) -> None:
        """Start nothing more, take back what was not sent; what runs goes on remotely."""
        await self._run.aclose()


class _Cursor(AsyncIterator[BatchOutcome]):
    """A place in the outcomes: a loop that is left drops it, and that is how leaving is noticed."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        weakref.finalize(self, _close_soon, asyncio.get_running_loop(), run).atexit = False

    async def __anext__(self) -> BatchOutcome:
        return await self._run.next()


def _close_soon(loop: asyncio.AbstractEventLoop, run: _Run) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(run.close)


class _Run:
    """What a batch holds while it runs."""

    def __init__(
        self,
        plan: Plan,
        out: Path,
        port: SessionPort,
        *,
        naming: OutputNaming,
        budget: Decimal | None,
        retry_failed: bool,
    ) -> None:
        self._plan, self._port, self._folder = plan, port, out
        known = port.currency is not None
        self._money = BudgetTracker(currency=port.currency or _currency(plan), certain=known, budget=budget)
        self._quotes = PriceQuotes(port)
        self._lines = ResultsLog(out / "batch.jsonl")
        self._events = ProgressCounter(clock=asyncio.get_running_loop().time)
        port.event_listeners.append(self._events.on_event)
        self.worker = EntryWorker(
            port=port,
            shelf=OutputWriter(port=port, folder=out, naming=naming, duplicate_paths=self._lines.duplicate_paths),
            charges=Charges(port=port, money=self._money, quotes=self._quotes),
            folder=out,
            retry_failed=retry_failed,
            freed=self._look_again,
            note_error=self._events.note_error,
        )
        self.counter = EntryCounter(entries=plan.ready, port=port, worker=self.worker, events=self._events)
        self._leads: dict[str, _Lead] = {}
        self._unread: deque[BatchOutcome] = deque()
        self._known: set[int] = set()
        self._news, self._room, self._gone = anyio.Event(), anyio.Event(), anyio.Event()
        self._tasks: TaskGroup | None = None
        self._begun = self._over = self._closed = False
        self._began_utc = datetime.now(UTC)
        self._failure: RHError | None = None

    # --- reading -----------------------------------------------------------------------------------------------------

    async def next(self) -> BatchOutcome:
        """The next outcome.

        :raises StopAsyncIteration: there will be no more.
        :raises SessionError: the session ended first.
        :raises SaveError: the folder cannot be used.
        """
        self._begin()
        while not self._unread:
            if self._over:
                self._raise()
            self._news = anyio.Event()
            await self._news.wait()
        self._room.set()
        return self._unread.popleft()

    def _begin(self) -> None:
        if not self._begun and not self._closed:
            self._port.check()
            self._begun, self._began_utc = True, datetime.now(UTC)
            self._port.tasks.start_soon(self._serve)

    def _raise(self) -> None:
        error, self._failure = self._failure, None
        raise StopAsyncIteration if error is None or self._closed else error

    def close(self) -> None:
        """Start nothing more, take back what was not sent, let go of what runs."""
        self._closed = self._over = True
        self.worker.withdraw()
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        self._unread.clear()
        self._news.set()

    async def aclose(self) -> None:
        """As `close`, and wait until nothing is at work on the disk any more."""
        self.close()
        if self._begun:
            await self._gone.wait()

    # --- pricing -----------------------------------------------------------------------------------------------------

    async def estimate(self) -> Estimate:
        """What would be bought now, and what that costs.

        :raises SessionError: the session ended.
        """
        self._port.check()
        left = await to_buy(self._plan.ready, self._port, self.worker)
        account = await account_of(self._port) if left else None
        self._bill_in(account)
        untold = await asked(left, self._quotes) if account is not None else "the account does not answer"
        return estimate_of(left, self._quotes, currency=self._money.currency, untold=untold, account=account)

    def _bill_in(self, account: Account | None) -> None:
        """Count in what the account is billed in, where the site does not tell: the list's currency may be another."""
        if self._port.currency is None and account is not None and account.currency:
            self._money.bill_in(account.currency)

    # --- running -----------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        self._port.on_capacity.append(self._look_again)
        failure: RHError | None = None
        done = False
        try:
            async with anyio.create_task_group() as self._tasks:
                if not self._closed:  # else it was left before it was begun
                    failure = await self._fed(self._tasks)
            if not self._tasks.cancel_scope.cancel_called:
                await self._remove_leftovers()
                done = True
        finally:
            words = "the session ended before the batch was done; the same plan continues it"
            self._failure = failure if done else self._port.cut_short(words)
            self._port.on_capacity.remove(self._look_again)
            self._port.event_listeners.remove(self._events.on_event)
            self._over = True
            self._gone.set()
            self._news.set()

    async def _fed(self, tasks: TaskGroup) -> RHError | None:
        """Start every entry; why not, where the session or the folder cannot be used."""
        try:
            await self._lines.open()
            await self._remove_leftovers()
            if self._money.budget is not None:
                if self._port.currency is None:
                    self._bill_in(await account_of(self._port, patience=math.inf))
                if self._lines.begun_before:
                    await self._count_earlier()
            for entry in self._plan.ready:
                await self._roomy()
                self._port.check(asking=False)
                item = BatchItem(entry)
                self.worker.under_way.add(item)
                self.counter.start(entry)
                tasks.start_soon(self._carry, item)
        except RHError as error:
            return error
        return None

    async def _remove_leftovers(self) -> None:
        """Remove what killed commands left of their downloads; what was written a moment ago may be another run's."""
        began = min(self._began_utc, datetime.now(UTC) - _MAY_BE_LIVE).timestamp()
        await asyncio.to_thread(remove_leftovers, self._folder, before=began)

    async def _count_earlier(self) -> None:
        """Know what earlier runs bought before anything is bought; each file is read, as it would be anyway."""
        left = iter(self._plan.ready)

        async def work(left: Iterator[Entry]) -> None:
            for entry in left:
                item = BatchItem(entry)
                if await self.worker.look(item) is None and item.past is not None and item.past.record:
                    await self.worker.charges.count(entry, item.past)
                    self._known.add(entry.number)

        async with anyio.create_task_group() as lookers:
            for _ in range(_LOOKED_AT_ONCE):
                lookers.start_soon(work, left)

    async def _roomy(self) -> None:
        while not self._has_room():
            self._room = anyio.Event()
            await self._room.wait()

    def _has_room(self) -> bool:
        worker = self.worker
        full = len(worker.saving) >= _SAVING_AHEAD or len(self._unread) >= _UNREAD
        return not full and len(worker.under_way) < self._port.window

    def _look_again(self) -> None:
        self._room.set()

    async def _carry(self, item: BatchItem) -> None:
        try:
            outcome = await self._ended(item)
            if outcome is not None:
                if outcome.duplicate_of is None:
                    outcome = evolve(outcome, cost=self.worker.charges.cost_of(item, item.past))
                await self._tell(outcome, item)
                await self._tell_followers(outcome)
        except SessionError:
            if self._tasks is not None:
                self._tasks.cancel_scope.cancel()
        finally:
            self._leave(item)

    def _leave(self, item: BatchItem) -> None:
        self.worker.under_way.discard(item)
        self.worker.saving.discard(item)
        self._look_again()

    async def _ended(self, item: BatchItem) -> BatchOutcome | None:
        """How an entry ended; None if it shares the fate of one that has not."""
        if self.worker.stopped is not None and item.entry.number not in self._known:
            return self.worker.skipped(item)
        if (outcome := await self.worker.look(item)) is not None or item.past is None:
            return outcome
        lead = self._leads.get(item.past.key)
        if lead is None:
            self._leads[item.past.key] = _Lead()
            return await self.worker.carry(item, item.past)
        if lead.outcome is None:
            lead.followers.append(item)
            return None
        return await self.worker.share(item, lead.outcome)

    async def _tell_followers(self, outcome: BatchOutcome) -> None:
        lead = self._leads.get(outcome.key or "")
        if lead is None or lead.outcome is not None:
            return
        outcome = evolve(outcome, cost=NO_COST)
        lead.outcome = evolve(outcome, result=None if outcome.result is None else evolve(outcome.result, raw=b""))
        while lead.followers:
            follower = lead.followers.pop(0)
            await self._tell(await self.worker.share(follower, outcome), follower)

    async def _tell(self, outcome: BatchOutcome, item: BatchItem | None = None) -> None:
        try:
            await self._lines.tell(outcome)
        except RHError as error:  # the outcome is true all the same
            self._events.note_error(error)
            self.worker.stop(error)
        if item is not None:
            self._leave(item)
        self.counter.end(outcome)
        self._unread.append(outcome)
        self._news.set()


def _currency(plan: Plan) -> str:
    """The list's: of the prices of a plan, the one that most are in."""
    counted = Counter(entry.price.currency for entry in plan.ready if entry.price is not None)
    return counted.most_common(1)[0][0] if counted else ""
