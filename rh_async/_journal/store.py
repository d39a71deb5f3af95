"""What a place that keeps the journal must offer: rows, uploads, transactions, and which sessions are alive.

`SqliteStore` is the one there is. Another needs its module, a line where the session chooses its store, and whatever
package it imports. Rules that decide about money are not a store's: they are in `claims` and `SubmissionJournal`.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol

from rh_async.errors import JournalError, RHError
from rh_async.types import TaskId, Upload

from .records import SubmissionRecord, SubmissionState


class TaskConflict(JournalError):
    """A task that the server names for one submission is another's already."""


class JournalStore(Protocol):
    """One site's records as one session sees them.

    Every method blocks, and is called on one thread: that of `GroupCommit`. Whatever a method raises is turned into the
    caller's error by `describe`.
    """

    @property
    def owner(self) -> str:
        """The name under which this session owns records; no other session has ever had it."""

    @property
    def location(self) -> str:
        """Where the records are kept, for messages."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the store's own methods raise when the place cannot be used; anything else is a defect."""

    def open(self, api_key: str) -> None:
        """Open the place, make its tables or bring them up to date, and show that this session is running.

        :param api_key: only a fingerprint of it may be kept, to recognise records of another key.
        :raises JournalError: it cannot be used.
        """

    def close(self) -> None:
        """Show that this session has ended, and let the place go."""

    # --- sessions ----------------------------------------------------------------------------------------------------

    def is_alive(self, owner: str) -> bool:
        """Return whether the session of that name is running, in any process.

        Raise where that cannot be found out: a session taken for ended by mistake would make its submit uncertain.
        """

    def process_of(self, owner: str) -> int:
        """Return the process id of a running session; 0 if it is not known."""

    # --- transactions ------------------------------------------------------------------------------------------------

    def transaction(self) -> AbstractContextManager[JournalError | None]:
        """Make what is written inside durable on leaving, all of it or nothing.

        A record that was read inside must not change under the reader until the end. The value is None, or why new
        intents must fail: then only what has happened already may be written.
        """

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo what is written inside if it raises, and keep the rest of the transaction."""

    def spoils_transaction(self, error: BaseException) -> bool:
        """Return whether an error ended the whole transaction, so that nothing of it can be kept."""

    def is_transient(self, error: BaseException) -> bool:
        """Return whether the same attempt may succeed a little later."""

    def describe(self, error: Exception) -> RHError:
        """Return an error for the caller, with *error* as its cause."""

    def compact(self) -> None:
        """Do the store's own housekeeping; called after some time without changes. Raises nothing."""

    # --- records -----------------------------------------------------------------------------------------------------

    def find(self, key: str) -> SubmissionRecord | None:
        """Return the last attempt of a key."""

    def find_by_task(self, task_id: TaskId) -> SubmissionRecord | None:
        """Return the attempt that bought a task."""

    def find_by_webhook_token(self, token: str) -> SubmissionRecord | None:
        """Return the attempt whose webhook address carries a token."""

    def insert(self, record: SubmissionRecord) -> None:
        """Add an attempt. There must be none with its key and number, and none with its task."""

    def update_if(self, known: SubmissionRecord, changed: SubmissionRecord) -> bool:
        """Replace a record if it is still as known, by key, attempt, state and owner.

        :return: whether it was: of two sessions that change one record, exactly one succeeds.
        """

    def delete_if(self, known: SubmissionRecord) -> bool:
        """Delete a record if it is still as known; as `update_if`."""

    def list_in_states(self, states: Collection[SubmissionState]) -> list[SubmissionRecord]:
        """Return every attempt in one of these states, oldest first."""

    def page(
        self, states: Collection[SubmissionState], prefix: str, *, after: int
    ) -> list[tuple[int, SubmissionRecord]]:
        """Return the next attempts in one of these states whose key begins so, in the order in which they were made.

        :param after: the position of the last one that was read; 0 for none.
        :return: each with its position; empty at the end.
        """

    def last_settled(self, endpoint: str, *, limit: int) -> list[SubmissionRecord]:
        """Return the last attempts at a model whose run time is known, newest first."""

    # --- uploads -----------------------------------------------------------------------------------------------------

    def find_upload(self, sha256: str, size: int, *, now: float) -> tuple[Upload, float] | None:
        """Return an upload of this content under this API key, and until when its link serves, as a Unix time."""

    def save_upload(self, upload: Upload, *, until: float) -> None:
        """Keep an upload."""

    def forget_upload(self, sha256: str) -> None:
        """Forget every upload of this content."""
