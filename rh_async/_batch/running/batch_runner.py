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

from rh_async._batch.costs.budget import NO_COST, Money
from rh_async._batch.costs.charges import Charges
from rh_async._batch.costs.estimate import Estimate, account_of, asked, estimate_of, to_buy
from rh_async._batch.costs.price_quotes import Quotes
from rh_async._batch.outputs.output_naming import Names
from rh_async._batch.outputs.output_writer import Shelf
from rh_async._batch.outputs.part_files import remove_leftovers
from rh_async._batch.outputs.results_log import Lines
from rh_async._batch.planning.plan import Entry, Plan
from rh_async._batch.progress.progress_counter import Tally
from rh_async._batch.progress.progress_snapshot import Standing
from rh_async.errors import ConfigurationError, RHError, SessionError
from rh_async.types import Account

from .batch_outcome import BatchOutcome
from .entry_worker import Errand, Errands
from .session_port import Carrier

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

    followers: list[Errand] = field(factory=list)
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
        carrier: Carrier,
        names: Names | None = None,
        budget: Decimal | None = None,
        retry_failed: bool = False,
    ) -> None:
        if budget is not None and not (budget.is_finite() and budget >= 0):
            raise ConfigurationError(f"budget = {budget}: must be an amount of money")
        self._run = _Run(plan, out, carrier, names=names or Names(), budget=budget, retry_failed=retry_failed)

    @property
    def stopped(self) -> RHError | None:
        """Why nothing more is started: the account was refused, the budget is reached, the disk gave out."""
        return self._run.errands.stopped

    async def estimate(self) -> Estimate:
        """What a run would buy now, and what that costs; nothing is bought.

        What earlier runs bought is left out. The server is asked for the price of one entry of each kind, whose files
        go up for that; what it tells no price for counts by the list.

        :raises SessionError: the session ended.
        """
        return await self._run.estimate()

    def standing(self) -> Standing:
        """How it stands now; cheap."""
        return self._run.tally.standing()

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
        self, plan: Plan, out: Path, carrier: Carrier, *, names: Names, budget: Decimal | None, retry_failed: bool
    ) -> None:
        self._plan, self._carrier, self._folder = plan, carrier, out
        known = carrier.currency is not None
        self._money = Money(currency=carrier.currency or _currency(plan), certain=known, budget=budget)
        self._quotes = Quotes(carrier)
        self._lines = Lines(out / "batch.jsonl")
        self.errands = Errands(
            carrier=carrier,
            shelf=Shelf(carrier=carrier, folder=out, names=names, twins=self._lines.twins),
            charges=Charges(carrier=carrier, money=self._money, quotes=self._quotes),
            folder=out,
            retry_failed=retry_failed,
            freed=self._look_again,
        )
        self.tally = Tally(plan.ready, carrier, self.errands)
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
            self._carrier.check()
            self._begun, self._began_utc = True, datetime.now(UTC)
            self._carrier.tasks.start_soon(self._serve)

    def _raise(self) -> None:
        error, self._failure = self._failure, None
        raise StopAsyncIteration if error is None or self._closed else error

    def close(self) -> None:
        """Start nothing more, take back what was not sent, let go of what runs."""
        self._closed = self._over = True
        self.errands.withdraw()
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
        self._carrier.check()
        left = await to_buy(self._plan.ready, self._carrier, self.errands)
        account = await account_of(self._carrier) if left else None
        self._bill_in(account)
        untold = await asked(left, self._quotes) if account is not None else "the account does not answer"
        return estimate_of(left, self._quotes, currency=self._money.currency, untold=untold, account=account)

    def _bill_in(self, account: Account | None) -> None:
        """Count in what the account is billed in, where the site does not tell: the list's currency may be another."""
        if self._carrier.currency is None and account is not None and account.currency:
            self._money.bill_in(account.currency)

    # --- running -----------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        self._carrier.on_capacity.append(self._look_again)
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
            self._failure = failure if done else self._carrier.cut_short(words)
            self._carrier.on_capacity.remove(self._look_again)
            self._over = True
            self._gone.set()
            self._news.set()

    async def _fed(self, tasks: TaskGroup) -> RHError | None:
        """Start every entry; why not, where the session or the folder cannot be used."""
        try:
            await self._lines.open()
            await self._remove_leftovers()
            if self._money.budget is not None:
                if self._carrier.currency is None:
                    self._bill_in(await account_of(self._carrier, patience=math.inf))
                if self._lines.begun_before:
                    await self._count_earlier()
            for entry in self._plan.ready:
                await self._roomy()
                self._carrier.check(asking=False)
                errand = Errand(entry)
                self.errands.under_way.add(errand)
                self.tally.begun(entry)
                tasks.start_soon(self._carry, errand)
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
                errand = Errand(entry)
                if await self.errands.look(errand) is None and errand.past is not None and errand.past.record:
                    await self.errands.charges.count(entry, errand.past)
                    self._known.add(entry.number)

        async with anyio.create_task_group() as lookers:
            for _ in range(_LOOKED_AT_ONCE):
                lookers.start_soon(work, left)

    async def _roomy(self) -> None:
        while not self._has_room():
            self._room = anyio.Event()
            await self._room.wait()

    def _has_room(self) -> bool:
        errands = self.errands
        full = len(errands.saving) >= _SAVING_AHEAD or len(self._unread) >= _UNREAD
        return not full and len(errands.under_way) < self._carrier.window

    def _look_again(self) -> None:
        self._room.set()

    async def _carry(self, errand: Errand) -> None:
        try:
            outcome = await self._ended(errand)
            if outcome is not None:
                if outcome.twin is None:
                    outcome = evolve(outcome, cost=self.errands.charges.cost_of(errand, errand.past))
                await self._tell(outcome, errand)
                await self._tell_followers(outcome)
        except SessionError:
            if self._tasks is not None:
                self._tasks.cancel_scope.cancel()
        finally:
            self._leave(errand)

    def _leave(self, errand: Errand) -> None:
        self.errands.under_way.discard(errand)
        self.errands.saving.discard(errand)
        self._look_again()

    async def _ended(self, errand: Errand) -> BatchOutcome | None:
        """How an entry ended; None if it shares the fate of one that has not."""
        if self.errands.stopped is not None and errand.entry.number not in self._known:
            return self.errands.withheld(errand)
        if (outcome := await self.errands.look(errand)) is not None or errand.past is None:
            return outcome
        lead = self._leads.get(errand.past.key)
        if lead is None:
            self._leads[errand.past.key] = _Lead()
            return await self.errands.carry(errand, errand.past)
        if lead.outcome is None:
            lead.followers.append(errand)
            return None
        return await self.errands.share(errand, lead.outcome)

    async def _tell_followers(self, outcome: BatchOutcome) -> None:
        lead = self._leads.get(outcome.key or "")
        if lead is None or lead.outcome is not None:
            return
        outcome = evolve(outcome, cost=NO_COST)
        lead.outcome = evolve(outcome, result=None if outcome.result is None else evolve(outcome.result, raw=b""))
        while lead.followers:
            follower = lead.followers.pop(0)
            await self._tell(await self.errands.share(follower, outcome), follower)

    async def _tell(self, outcome: BatchOutcome, errand: Errand | None = None) -> None:
        try:
            await self._lines.tell(outcome)
        except RHError as error:  # the outcome is true all the same
            self.errands.troubles.note(error)
            self.errands.stop(error)
        if errand is not None:
            self._leave(errand)
        self.tally.ended(outcome)
        self._unread.append(outcome)
        self._news.set()


def _currency(plan: Plan) -> str:
    """The list's: of the prices of a plan, the one that most are in."""
    counted = Counter(entry.price.currency for entry in plan.ready if entry.price is not None)
    return counted.most_common(1)[0][0] if counted else ""
