"""Runs a plan through a session: starts its entries in order while there is capacity, and streams their outcomes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from rh_async._batch.costs.budget import NO_COST, BudgetTracker
from rh_async._batch.costs.charges import Charges
from rh_async._batch.costs.estimate import Estimate, entries_to_submit, estimate_of, list_currency, query_account
from rh_async._batch.costs.price_quotes import PriceQuotes
from rh_async._batch.outputs.output_naming import OutputNaming
from rh_async._batch.outputs.output_writer import OutputWriter
from rh_async._batch.outputs.part_files import remove_part_files
from rh_async._batch.outputs.results_log import ResultsLog
from rh_async._batch.planning.plan import Entry, Plan
from rh_async._batch.progress.entry_counter import EntryCounter
from rh_async._batch.progress.progress_counter import ProgressCounter
from rh_async._batch.progress.progress_snapshot import BatchProgress
from rh_async._batch.session_port import OutcomeStream, SessionPort
from rh_async._batch.state.batch_outcome import BatchOutcome
from rh_async._batch.state.run_state import BatchItem, RunState
from rh_async.errors import ConfigurationError, RHError, SessionError

from .entry_saver import EntrySaver
from .entry_worker import EntryWorker

_MOST_SAVING = 64
"""How many results may wait for the disk: more hold back starting, or a slow disk would fill the memory."""
_MOST_UNREAD = 256
"""How many outcomes may wait for their reader, for the same reason."""
_LOOK_UPS_AT_ONCE = 8
_RENAME_GRACE = timedelta(seconds=10)
"""A finished download is open nowhere from its last byte until its rename: a file that young is not left behind."""


class Batch:
    """A plan that runs through a session; iterate over its outcomes. `Session.batch` makes it; nothing starts before.

    Leaving the loop starts nothing more, withdraws what was not sent and detaches what runs, as `aclose` does.
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
        certain = port.currency is not None
        tracker = BudgetTracker(currency=port.currency or list_currency(plan.ready), certain=certain, budget=budget)
        self._run = _Run(plan, out, port, tracker, naming or OutputNaming(), retry_failed=retry_failed)

    @property
    def stopped(self) -> RHError | None:
        """Why nothing more is started: the account was refused, the budget is reached, or the disk failed."""
        return self._run.state.stopped

    async def estimate(self) -> Estimate:
        """Estimate what a run would submit now, and what that costs; nothing is submitted.

        What earlier runs submitted is left out. The server is asked for the price of one entry of each kind, whose
        files are uploaded for that; an entry for which it names no price counts by the price list.

        :raises SessionError: the session ended.
        """
        return await self._run.estimate()

    def progress(self) -> BatchProgress:
        """Return the progress of the batch; cheap."""
        return self._run.counter.progress()

    def __aiter__(self) -> AsyncIterator[BatchOutcome]:
        return self._run.stream.__aiter__()

    async def aclose(self) -> None:
        """Start nothing more, withdraw what was not sent, and wait until nothing writes to the disk any more.

        What runs goes on remotely.
        """
        await self._run.stream.aclose()


@define(eq=False)
class _Primary:
    """The first item with a key; later items with the same key are its duplicates, and share its job.

    :ivar outcome: set once it is known, without the raw answer, which takes memory.
    """

    duplicates: list[BatchItem] = field(factory=list)
    outcome: BatchOutcome | None = None


class _Run:
    """One run of a plan: the producer of its stream of outcomes."""

    def __init__(
        self,
        plan: Plan,
        output_dir: Path,
        port: SessionPort,
        budget: BudgetTracker,
        naming: OutputNaming,
        *,
        retry_failed: bool,
    ) -> None:
        self._plan, self._port, self._output_dir, self._budget = plan, port, output_dir, budget
        self.stream: OutcomeStream[BatchOutcome] = OutcomeStream(port, self._start, self._stop)
        self._events = ProgressCounter(clock=asyncio.get_running_loop().time)
        port.event_listeners.append(self._events.on_event)
        self._quotes = PriceQuotes(port)
        self._charges = Charges(port=port, budget=budget, quotes=self._quotes)
        self._log = ResultsLog(output_dir / "batch.jsonl")
        self.state = RunState(port=port, note_error=self._events.note_error, on_slot_free=self.stream.wake)
        writer = OutputWriter(port=port, folder=output_dir, naming=naming, duplicate_paths=self._log.duplicate_paths)
        self._worker = EntryWorker(
            port=port,
            state=self.state,
            saver=EntrySaver(state=self.state, writer=writer, output_dir=output_dir),
            charges=self._charges,
            output_dir=output_dir,
            retry_failed=retry_failed,
        )
        self.counter = EntryCounter(entries=plan.ready, port=port, state=self.state, budget=budget, events=self._events)
        self._primaries: dict[str, _Primary] = {}
        self._submitted_before: set[int] = set()  # numbers of entries that earlier runs submitted
        self._tasks: TaskGroup | None = None
        self._began_utc = datetime.now(UTC)

    # --- before a run ------------------------------------------------------------------------------------------------

    async def estimate(self) -> Estimate:
        """Estimate what would be submitted now, and what that costs.

        :raises SessionError: the session ended.
        """
        self._port.check()
        left = await entries_to_submit(self._plan.ready, self._port, self._worker.would_submit)
        account = await query_account(self._port) if left else None
        self._charges.use_currency_of(account)
        return await estimate_of(left, self._quotes, currency=self._budget.currency, account=account)

    # --- start and end -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._began_utc = datetime.now(UTC)
        self._port.tasks.start_soon(self._serve)

    def _stop(self) -> None:
        """Start nothing more, withdraw what was not sent, and detach what runs."""
        self.state.withdraw()
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()

    async def _serve(self) -> None:
        """Run all entries; end the stream whatever happens, or its reader would wait for ever."""
        failure: RHError | None = None
        done = False
        try:
            async with anyio.create_task_group() as self._tasks:
                if not self.stream.closed:  # else it was left before this task had its first turn
                    failure = await self._start_entries(self._tasks)
            if not self._tasks.cancel_scope.cancel_called:
                await self._remove_part_files()
                done = True
        finally:
            words = "the session ended before the batch was done; the same plan continues it"
            self._port.event_listeners.remove(self._events.on_event)
            self.stream.finish(failure if done else self._port.cut_short(words))

    async def _start_entries(self, tasks: TaskGroup) -> RHError | None:
        """Start every entry in order; return why not, where the session or the output folder cannot be used."""
        try:
            await self._log.open()
            await self._remove_part_files()
            if self._budget.budget is not None:
                if self._port.currency is None:  # money cannot be compared before the currency is known: no time limit
                    self._charges.use_currency_of(await query_account(self._port, patience=math.inf))
                if self._log.begun_before:
                    await self._count_earlier_runs()
            for entry in self._plan.ready:
                await self.stream.wait_for_capacity(self._has_capacity)
                self._port.check(asking=False)
                item = BatchItem(entry)
                self.state.under_way.add(item)  # at once: its task starts later, and the window must count it already
                self.counter.start(entry)
                tasks.start_soon(self._process, item)
        except RHError as error:
            return error
        return None

    def _has_capacity(self) -> bool:
        full = len(self.state.saving) >= _MOST_SAVING or self.stream.unread >= _MOST_UNREAD
        return not full and len(self.state.under_way) < self._port.window

    async def _remove_part_files(self) -> None:
        """Remove what killed commands left of their downloads; a recently written file may be another run's."""
        began = min(self._began_utc, datetime.now(UTC) - _RENAME_GRACE).timestamp()
        await asyncio.to_thread(remove_part_files, self._output_dir, before=began)

    async def _count_earlier_runs(self) -> None:
        """Count what earlier runs spent against the budget before anything is submitted.

        Each entry's files are hashed for that, which a run does anyway.
        """
        left = iter(self._plan.ready)

        async def work(left: Iterator[Entry]) -> None:
            for entry in left:
                item = BatchItem(entry)
                if await self._worker.look_up(item) is None and item.past is not None and item.past.record:
                    await self._charges.count(entry, item.past)
                    self._submitted_before.add(entry.number)

        async with anyio.create_task_group() as workers:
            for _ in range(_LOOK_UPS_AT_ONCE):
                workers.start_soon(work, left)

    # --- one entry ---------------------------------------------------------------------------------------------------

    async def _process(self, item: BatchItem) -> None:
        try:
            outcome = await self._outcome(item)
            if outcome is not None:
                if outcome.duplicate_of is None:
                    outcome = evolve(outcome, cost=self._charges.cost_of(item, item.past))
                await self._report(outcome, item)
                await self._report_duplicates(outcome)
        except SessionError:  # the session ended: no other item can go on either
            if self._tasks is not None:
                self._tasks.cancel_scope.cancel()
        finally:
            self.state.leave(item)

    async def _outcome(self, item: BatchItem) -> BatchOutcome | None:
        """Process an item; return None if it is a duplicate of one that has no outcome yet, which then reports both."""
        if self.state.stopped is not None and item.entry.number not in self._submitted_before:
            return self.state.skipped(item)
        if (outcome := await self._worker.look_up(item)) is not None or item.past is None:
            return outcome
        # No await between the look for a primary and its registration: of two items with one key, one is the primary,
        # or each would reserve its price in the budget for the one job that both share.
        primary = self._primaries.get(item.past.key)
        if primary is None:
            self._primaries[item.past.key] = _Primary()
            return await self._worker.process(item, item.past)
        if primary.outcome is None:
            primary.duplicates.append(item)
            return None
        return await self._worker.copy_outcome(item, primary.outcome)

    async def _report_duplicates(self, outcome: BatchOutcome) -> None:
        primary = self._primaries.get(outcome.key or "")
        if primary is None or primary.outcome is not None:
            return
        outcome = evolve(outcome, cost=NO_COST)  # one job was submitted, and its cost is the primary's
        primary.outcome = evolve(outcome, result=None if outcome.result is None else evolve(outcome.result, raw=b""))
        while primary.duplicates:
            duplicate = primary.duplicates.pop(0)
            await self._report(await self._worker.copy_outcome(duplicate, outcome), duplicate)

    async def _report(self, outcome: BatchOutcome, item: BatchItem) -> None:
        """Write an outcome to the results log, count it, and hand it to the reader."""
        try:
            await self._log.append(outcome)
        except RHError as error:  # the outcome is true all the same, and its reader must have it
            self._events.note_error(error)
            self.state.stop(error)
        # No await from here on: a snapshot counts the item either as under way or by its outcome.
        self.state.leave(item)
        self.counter.end(outcome)
        self.stream.put(outcome)
