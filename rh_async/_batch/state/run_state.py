"""What the parts of one run share: the entries that are being processed, and why nothing more is started."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from attrs import define, field

from rh_async._batch.planning.plan import Entry
from rh_async._batch.session_port import PriorAttempt, SessionPort
from rh_async.errors import BudgetReached, RHError
from rh_async.job import Job

from .batch_outcome import BatchOutcome, state_of

log = logging.getLogger(__name__)

FIRST_WAIT = 5.0
"""Seconds before a failed call is repeated for the first time; each further wait is twice as long."""
_LONGEST_WAIT = 60.0


@define(eq=False)
class BatchItem:
    """One entry while it is processed.

    :ivar past: what is known of earlier attempts; None until the entry was looked up.
    :ivar job: the job, once its submission was started.
    """

    entry: Entry
    past: PriorAttempt | None = field(default=None, init=False)
    job: Job | None = field(default=None, init=False)

    def outcome(self, **fields: object) -> BatchOutcome:
        """Make the entry's outcome."""
        return BatchOutcome(entry=self.entry, key=None if self.past is None else self.past.key, **fields)  # type: ignore[arg-type]

    def failure(self, error: RHError, **fields: object) -> BatchOutcome:
        """Make the outcome of an error.

        :param fields: instead of those that follow from the error.
        """
        task_id = error.task_id or (self.job.task_id if self.job else None)
        cause = None if isinstance(error, BudgetReached) else error.blame
        from_error = {"state": state_of(error), "task_id": task_id, "error": error, "cause": cause}
        return self.outcome(**{**from_error, **fields})


@define(eq=False, kw_only=True)
class RunState:
    """The state of one run.

    :param note_error: counts an error that a retry may overcome.
    :param on_slot_free: called when an item leaves ``under_way``.
    :ivar stopped: why nothing more is started; None while entries are started.
    :ivar disk_error: why nothing more is saved; None while results are saved.
    :ivar under_way: items that hold a slot, from their look-up to the end of their job.
    :ivar saving: items whose outputs are being written, or wait for that.
    """

    port: SessionPort
    note_error: Callable[[RHError], object]
    on_slot_free: Callable[[], object]
    stopped: RHError | None = field(default=None, init=False)
    disk_error: RHError | None = field(default=None, init=False)
    under_way: set[BatchItem] = field(factory=set, init=False)
    saving: set[BatchItem] = field(factory=set, init=False)
    _stopping: anyio.Event = field(factory=anyio.Event, init=False)

    def stop(self, error: RHError) -> None:
        """Start nothing more, and withdraw what has not been sent.

        A reached budget withdraws nothing: it covers the jobs under way, whose prices are reserved.
        """
        if error.blame == "local_io":
            self.disk_error = self.disk_error or error
        if self.stopped is None:
            log.warning("rh_async.batch_stopped %s", error, extra={"error": error})
            self.stopped = error  # the first reason stays: later ones are its consequences
            self._stopping.set()
        if not isinstance(error, BudgetReached):
            self.withdraw()

    def withdraw(self) -> None:
        """Withdraw every job whose POST has not left."""
        for item in list(self.under_way):
            if item.job is not None:
                self.port.withdraw(item.job)

    def skipped(self, item: BatchItem) -> BatchOutcome:
        """Make the outcome of an item that is not started because the run was stopped."""
        assert self.stopped is not None  # noqa: S101 - for the type checker: there is a reason
        error = self.stopped.fresh()
        error.task_id = error.key = None  # the run may have been stopped over another job
        return item.failure(error, state="skipped", task_id=None)

    def start_saving(self, item: BatchItem) -> None:
        """Free the item's slot for the next job: its own job has ended, and only its outputs are missing."""
        self.under_way.discard(item)
        self.saving.add(item)
        self.on_slot_free()

    def leave(self, item: BatchItem) -> None:
        """Forget an item that has its outcome."""
        self.under_way.discard(item)
        self.saving.discard(item)
        self.on_slot_free()

    def note_retry(self, error: RHError, wait: float) -> float:
        """Count and log an error that is retried after a wait; return the wait after the next one."""
        self.note_error(error)
        log.warning("rh_async.batch_retry %g s: %s", wait, error, extra={"error": error})
        return min(_LONGEST_WAIT, wait * 2)

    async def wait_unless_stopped(self, seconds: float) -> None:
        """Wait for a time, or until the run is stopped."""
        with anyio.move_on_after(seconds):
            await self._stopping.wait()
