"""Journals for tests: opened without a session, brought to a state, and killed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from attrs import define

from rh_async._journal.records import SubmissionRecord, SubmissionState
from rh_async._journal.submission_journal import SubmissionJournal
from rh_async.types import TaskId
from tests.journal.killing import drop_lock, sqlite_of
from tests.journal.memory_store import MemoryStore

SITE = "https://site.test"
Opened = Callable[..., Awaitable[SubmissionJournal]]
WAYS: dict[SubmissionState, tuple[SubmissionState, ...]] = {
    SubmissionState.CLAIMED: (),
    SubmissionState.SUBMITTING: (SubmissionState.SUBMITTING,),
    SubmissionState.SUBMITTED: (SubmissionState.SUBMITTING, SubmissionState.SUBMITTED),
    SubmissionState.SETTLED: (SubmissionState.SUBMITTING, SubmissionState.SUBMITTED, SubmissionState.SETTLED),
    SubmissionState.LOST: (SubmissionState.SUBMITTING, SubmissionState.SUBMITTED, SubmissionState.LOST),
    SubmissionState.SAVED: (
        SubmissionState.SUBMITTING,
        SubmissionState.SUBMITTED,
        SubmissionState.SETTLED,
        SubmissionState.SAVED,
    ),
    SubmissionState.REFUSED: (SubmissionState.SUBMITTING, SubmissionState.REFUSED),
    SubmissionState.UNCERTAIN: (SubmissionState.SUBMITTING, SubmissionState.UNCERTAIN),
    SubmissionState.ABANDONED: (SubmissionState.SUBMITTING, SubmissionState.UNCERTAIN, SubmissionState.ABANDONED),
}


@define
class Wall:
    """A time of day that moves when a test moves it."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def fresh(key: str = "clip", webhook_token: str = "n") -> SubmissionRecord:  # noqa: S107 - no password
    return SubmissionRecord(
        key=key, attempt=1, state=SubmissionState.CLAIMED, owner="", endpoint="a/model", webhook_token=webhook_token
    )


async def claimed(journal: SubmissionJournal, record: SubmissionRecord, **options: Any) -> SubmissionRecord:
    """Claim a key, and return the record whatever was decided."""
    return (await journal.claim(record, **options)).record


async def brought_to(journal: SubmissionJournal, state: SubmissionState, key: str = "clip") -> SubmissionRecord:
    """A row in a state, by the shortest way there."""
    record = await claimed(journal, fresh(key))
    for to in WAYS[state]:
        facts = {"task_id": TaskId(str(abs(hash(key)) % 10**9 + 1))} if to is SubmissionState.SUBMITTED else {}
        record = await journal.transition(record, to, **facts)
    return record


async def die(journal: SubmissionJournal) -> None:
    """Leave as a killed process does: its lock is gone, and nothing else is tidied up."""
    journal._writer._cancel_idle()
    if isinstance(journal.store, MemoryStore):
        journal.store.close()
    else:
        drop_lock(journal)
        await journal._writer.in_thread(sqlite_of(journal)._db.close)
    journal._writer.thread.shutdown(wait=False)


async def close_all(journals: list[SubmissionJournal]) -> None:
    """Close the journals that are still open."""
    for journal in journals:
        if journal.store.is_alive(journal.owner):
            await journal.close()
