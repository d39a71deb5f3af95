"""Writes down what becomes of submissions, each time before the session acts upon it, whatever store keeps the records.

An *intent* (claim, submitting) fails if it cannot be made durable: then nothing is sent. A *fact* (submitted, settled)
has happened already: it is written as soon as the store can be written again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from attrs import define, evolve, field, frozen

from rh_async.errors import JournalError, KeyConflict
from rh_async.types import TaskId, Upload

from .claims import ClaimOptions, Decision, Insert, Refusal, Refuse, decide, is_left_unconfirmed
from .group_commit import GroupCommit
from .records import ACTIVE_STATES, SubmissionRecord, SubmissionState, may_transition
from .store import JournalStore, TaskConflict

T = TypeVar("T")


@frozen
class Claim:
    """What became of asking for a key.

    :param record: the claimed record, owned by this session, if the decision is `Insert`; else the key's last attempt.
    """

    record: SubmissionRecord
    decision: Decision


@define(eq=False, kw_only=True, repr=False)
class SubmissionJournal:
    """The journal of one session.

    :param store: keeps the records.
    :param wall: tells the time of day.
    :param most: how many changes go into one commit, at most; None for all that wait.
    :param on_held: called once when the store cannot be written for now, with the seconds until the next attempt.
    """

    store: JournalStore
    wall: Callable[[], datetime]
    most: int | None = None
    on_held: Callable[[float], None] = lambda _: None
    _writer: GroupCommit = field(init=False)

    async def open(self, api_key: str) -> None:
        """Open the store.

        :raises JournalError: it cannot be used.
        """
        self._writer = GroupCommit(store=self.store, most=self.most, on_held=self.on_held)
        self._writer.open()
        try:
            await self._writer.in_thread(partial(self.store.open, api_key))
        except JournalError:
            self._writer.thread.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """Write what is still to be written, and close the store."""
        await self._writer.finish()
        await self._writer.in_thread(self.store.close)
        self._writer.thread.shutdown(wait=False)

    @property
    def owner(self) -> str:
        """The name under which this session owns records."""
        return self.store.owner

    @property
    def commits(self) -> int:
        """How many transactions were made durable."""
        return self._writer.commits

    @property
    def changes(self) -> int:
        """How many changes they held."""
        return self._writer.changes

    # --- intents: durable before they are acted upon -----------------------------------------------------------------

    async def claim(
        self, fresh: SubmissionRecord, *, resubmit: bool = False, after: int | None = None, gone: int | None = None
    ) -> Claim:
        """Claim a key for this session, or say what is to be done instead; options as in `ClaimOptions`.

        :param fresh: what to write down; its attempt and owner are filled in.
        :raises KeyConflict: the key's last attempt was made under another API key: submitting it could buy it twice.
        :raises JournalError: the claim could not be made durable.
        :raises asyncio.CancelledError: the key is not claimed.
        """
        asked = ClaimOptions(resubmit=resubmit, after=after, gone=gone)
        try:
            return await self._writer.intend(lambda: self._claim(fresh, asked))
        except asyncio.CancelledError:
            # The thread may have written the claim already. Left, it would hold the key until this session ends.
            self._writer.note_soon(lambda: self._take_claim_back(fresh))
            raise

    def _claim(self, fresh: SubmissionRecord, asked: ClaimOptions) -> Claim:
        last = self.store.find(fresh.key)
        owner_alive = last is not None and last.state in ACTIVE_STATES and self.store.is_alive(last.owner)
        if last is not None and is_left_unconfirmed(last, owner_alive=owner_alive):
            last = self._update(last, SubmissionState.UNCERTAIN)
        own = last is not None and last.owner == self.owner
        decision = decide(last, asked, owner_alive=owner_alive, own=own)
        if isinstance(decision, Insert):
            return Claim(self._insert(fresh, decision, last), decision)
        if decision == Refuse(Refusal.FOREIGN):
            raise KeyConflict(f"the key {fresh.key} was submitted under another API key", key=fresh.key)
        assert last is not None  # noqa: S101 - for the type checker: without a last attempt, the decision is Insert
        return Claim(last, decision)

    def _insert(self, fresh: SubmissionRecord, decision: Insert, last: SubmissionRecord | None) -> SubmissionRecord:
        mine = evolve(fresh, attempt=decision.attempt, owner=self.owner, claimed_utc=self.wall().isoformat())
        # Two sessions may take the same abandoned claim over: only the one that deletes it may write its own.
        if decision.replaces and last is not None and not self.store.delete_if(last):
            raise JournalError(f"{fresh.key}: another session claimed it meanwhile", key=fresh.key)
        self.store.insert(mine)
        return mine

    def _take_claim_back(self, fresh: SubmissionRecord) -> None:
        last = self.store.find(fresh.key)
        # By its token: this session may have claimed the key once more, for another job.
        if last is not None and last.owner == self.owner and last.webhook_token == fresh.webhook_token:
            self.store.delete_if(evolve(last, state=SubmissionState.CLAIMED))

    async def mark_submitting(self, record: SubmissionRecord) -> SubmissionRecord:
        """Make durable that a claimed record's POST is about to leave.

        :raises JournalError: as for `transition`.
        :raises asyncio.CancelledError: it is still claimed, and the POST may not leave.
        """
        try:
            return await self.transition(record, SubmissionState.SUBMITTING)
        except asyncio.CancelledError:
            # Written or not, the POST does not leave: a record that says so would be taken for a possible purchase.
            submitting = evolve(record, state=SubmissionState.SUBMITTING)
            self._writer.note_soon(lambda: self.store.update_if(submitting, record))
            raise

    async def transition(self, record: SubmissionRecord, to: SubmissionState, **changes: Any) -> SubmissionRecord:
        """Make a transition durable before it is acted upon.

        :param changes: fields of the record that it changes.
        :return: the record as it is now.
        :raises TaskConflict: another record has the task.
        :raises JournalError: there is no such transition, another session changed the record, or it could not be made
            durable.
        """
        return await self._writer.intend(lambda: self._update(record, to, **changes))

    async def take_over(self, record: SubmissionRecord) -> SubmissionRecord:
        """Make this session the owner of a record whose session has ended, or which no session has in hand.

        :raises JournalError: its session is running, another one took it over, or it could not be made durable.
        """
        return await self._writer.intend(lambda: self._take_over(record))

    def _take_over(self, record: SubmissionRecord) -> SubmissionRecord:
        if record.state in ACTIVE_STATES and record.owner != self.owner and self.store.is_alive(record.owner):
            raise JournalError(f"{record.key}: the session that has it in hand is still running", key=record.key)
        mine = evolve(record, owner=self.owner)
        if not self.store.update_if(record, mine):
            raise JournalError(f"{record.key}: another session took it over", key=record.key)
        return mine

    # --- facts: written though late ----------------------------------------------------------------------------------

    async def record_transition(self, record: SubmissionRecord, to: SubmissionState, **changes: Any) -> None:
        """Write down a transition that has happened; return early where the store cannot be written for now.

        :param changes: as for `transition`.
        :raises TaskConflict: another record has the task that this one is said to have bought.
        :raises JournalError: there is no such transition, or another session changed the record.
        """
        task = changes.get("task_id", record.task_id)
        summary = f"key {record.key}, task {task} is {to}"
        await self._writer.note(lambda: self._update(record, to, **changes), summary=summary)

    async def record_status(self, record: SubmissionRecord) -> None:
        """Write down the server's last word on a running task, unless the record has changed meanwhile."""
        await self._writer.note(lambda: self.store.update_if(record, record))

    async def mark_saved(self, task_id: TaskId, paths: tuple[str, ...]) -> None:
        """Write down that a settled task's outputs are on disk, whichever session saved them, and however often."""
        await self._writer.note(lambda: self._mark_saved(task_id, paths))

    def _mark_saved(self, task_id: TaskId, paths: tuple[str, ...]) -> None:
        record = self.store.find_by_task(task_id)
        if record is not None and record.state is SubmissionState.SETTLED:
            self.store.update_if(record, evolve(record, state=SubmissionState.SAVED, paths=paths))

    async def release(self, record: SubmissionRecord) -> None:
        """Give up a claim that was never sent; harmless once it was."""
        claimed = evolve(record, state=SubmissionState.CLAIMED, owner=self.owner)
        await self._writer.note(lambda: self.store.delete_if(claimed))

    def _update(self, record: SubmissionRecord, to: SubmissionState, **changes: Any) -> SubmissionRecord:
        if not may_transition(record.state, to):
            raise JournalError(f"{record.key}: there is no transition from {record.state} to {to}", key=record.key)
        changed = evolve(record, state=to, **changes)
        if changed.task_id is not None and changed.task_id != record.task_id:
            self._refuse_known_task(changed, changed.task_id)
        if not self.store.update_if(record, changed):
            raise JournalError(f"{record.key}: another session has changed it meanwhile", key=record.key)
        return changed

    def _refuse_known_task(self, record: SubmissionRecord, task_id: TaskId) -> None:
        """Refuse to give one task to two submissions: the second would get the first one's video for its own money."""
        other = self.store.find_by_task(task_id)
        if other is not None and (other.key, other.attempt) != (record.key, record.attempt):
            raise TaskConflict(f"the task belongs to the submission {other.key}", key=record.key, task_id=task_id)

    # --- reading -----------------------------------------------------------------------------------------------------

    async def is_alive(self, owner: str) -> bool:
        """Return whether a session is running, in any process."""
        return await self._read(lambda: self.store.is_alive(owner))

    async def running(self, owners: Iterable[str]) -> dict[str, int]:
        """Return the sessions of these that are running, each with its process id (0 where that is not known)."""

        def read() -> dict[str, int]:
            return {owner: self.store.process_of(owner) for owner in set(owners) if self.store.is_alive(owner)}

        return await self._read(read)

    async def find(self, key: str) -> SubmissionRecord | None:
        """Return the last attempt of a key."""
        return await self._read(lambda: self.store.find(key))

    async def find_by_task(self, task_id: TaskId) -> SubmissionRecord | None:
        """Return the attempt that bought a task."""
        return await self._read(lambda: self.store.find_by_task(task_id))

    async def find_by_webhook_token(self, token: str) -> SubmissionRecord | None:
        """Return the attempt whose webhook address carries a token; None for "": without a token, none is meant."""
        return await self._read(lambda: self.store.find_by_webhook_token(token)) if token else None

    async def list_in_states(self, states: Collection[SubmissionState]) -> list[SubmissionRecord]:
        """Return every attempt in one of these states, oldest first."""
        return await self._read(lambda: self.store.list_in_states(states))

    async def page(
        self, states: Collection[SubmissionState], prefix: str, *, after: int
    ) -> list[tuple[int, SubmissionRecord]]:
        """Return the next attempts in one of these states whose key begins so; see `JournalStore.page`."""
        return await self._read(lambda: self.store.page(states, prefix, after=after))

    async def last_settled(self, endpoint: str, *, limit: int) -> list[SubmissionRecord]:
        """Return the last attempts at a model whose run time is known: the polling schedule learns from them."""
        return await self._read(lambda: self.store.last_settled(endpoint, limit=limit))

    async def _read(self, act: Callable[[], T]) -> T:
        def read() -> T:
            try:
                return act()
            except self.store.errors as error:
                raise self.store.describe(error) from error

        return await self._writer.in_thread(read)

    # --- uploads -----------------------------------------------------------------------------------------------------

    async def find_upload(self, sha256: str, size: int) -> tuple[Upload, float] | None:
        """Return an upload of this content, and for how many seconds its link still serves."""
        now = self.wall().timestamp()
        found = await self._read(lambda: self.store.find_upload(sha256, size, now=now))
        return None if found is None else (found[0], found[1] - now)

    async def save_upload(self, upload: Upload, *, life: float) -> None:
        """Keep an upload.

        :param life: for how many seconds its link serves.
        """
        until = self.wall().timestamp() + life
        await self._writer.note(lambda: self.store.save_upload(upload, until=until))

    async def forget_upload(self, sha256: str) -> None:
        """Forget an upload that the server no longer knows."""
        await self._writer.note(lambda: self.store.forget_upload(sha256))
