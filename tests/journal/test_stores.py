"""What the journal guarantees, whatever store keeps its records: transitions, claims, sessions that die, uploads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from rh_async import JournalError
from rh_async._journal.records import TRANSITIONS, SubmissionRecord, SubmissionState
from rh_async._journal.sqlite import SqliteStore
from rh_async._journal.store import JournalStore, TaskConflict
from rh_async._journal.submission_journal import SubmissionJournal
from rh_async.errors import KeyConflict
from rh_async.types import TaskId, Upload
from tests.journal.journals import SITE, Opened, Wall, brought_to, claimed, close_all, die, fresh
from tests.journal.killing import Row, rows_of
from tests.journal.memory_store import MemoryStore, Place

pytestmark = pytest.mark.quick

LEGAL = [(now, to) for now, moves in TRANSITIONS.items() for to in sorted(moves)]
ILLEGAL = [pair for pair in product(SubmissionState, SubmissionState) if pair not in LEGAL]

Rows = Callable[[], list[SubmissionRecord] | list[Row]]
NewStore = Callable[[str], JournalStore]


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture(params=["sqlite", "memory"])
def new_store(request: pytest.FixtureRequest, journal_path: Path, place: Place) -> NewStore:
    """Makes stores of one kind, all on one place."""
    return (lambda site: SqliteStore(journal_path, site)) if request.param == "sqlite" else partial(MemoryStore, place)


@pytest.fixture
def rows(new_store: NewStore, journal_path: Path, place: Place) -> Rows:
    """Reads what is stored, past every journal; oldest attempt first."""
    if isinstance(new_store(SITE), SqliteStore):
        return partial(rows_of, journal_path)
    return lambda: sorted((row[2] for row in place.records.values()), key=lambda one: (one.key, one.attempt))


@pytest.fixture
async def open_journal(new_store: NewStore, wall: Wall) -> AsyncIterator[Opened]:
    """Opens journals on one place, and closes them all."""
    journals: list[SubmissionJournal] = []

    async def open_one(api_key: str = "k" * 32, site: str = SITE) -> SubmissionJournal:
        journal = SubmissionJournal(store=new_store(site), wall=wall)
        await journal.open(api_key)
        journals.append(journal)
        return journal

    yield open_one
    await close_all(journals)


# --- moves -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("now", "to"), LEGAL)
async def test_every_transition_is_made_and_is_durable(
    now: SubmissionState, to: SubmissionState, open_journal: Opened, rows: Rows
) -> None:
    journal = await open_journal()
    moved = await journal.transition(await brought_to(journal, now), to)
    assert moved.state is to
    assert [row.state for row in rows()] == [to]


@pytest.mark.parametrize(("now", "to"), ILLEGAL)
async def test_every_other_transition_is_refused_and_changes_nothing(
    now: SubmissionState, to: SubmissionState, open_journal: Opened, rows: Rows
) -> None:
    journal = await open_journal()
    record = await brought_to(journal, now)
    with pytest.raises(JournalError, match=f"there is no transition from {now} to {to}"):
        await journal.transition(record, to)
    assert [row.state for row in rows()] == [now]


async def test_a_transition_from_an_outdated_record_is_refused(open_journal: Opened, rows: Rows) -> None:
    journal = await open_journal()
    old = await brought_to(journal, SubmissionState.SUBMITTING)
    await journal.transition(old, SubmissionState.UNCERTAIN)
    with pytest.raises(JournalError, match="another session has changed it"):
        await journal.transition(old, SubmissionState.SUBMITTED, task_id=TaskId("7"))
    assert [row.state for row in rows()] == [SubmissionState.UNCERTAIN]


async def test_a_task_belongs_to_one_row_only_and_its_neighbours_in_a_commit_are_kept(
    open_journal: Opened, rows: Rows
) -> None:
    journal = await open_journal()
    one, two, three = [await brought_to(journal, SubmissionState.SUBMITTING, key) for key in ("one", "two", "three")]
    ends = await asyncio.gather(
        journal.transition(one, SubmissionState.SUBMITTED, task_id=TaskId("7")),
        journal.transition(two, SubmissionState.SUBMITTED, task_id=TaskId("7")),
        journal.transition(three, SubmissionState.SUBMITTED, task_id=TaskId("8")),
        return_exceptions=True,
    )
    assert [isinstance(end, JournalError) for end in ends] == [False, True, False]
    assert {row.key: row.task_id for row in rows()} == {"one": "7", "two": None, "three": "8"}


async def test_a_task_that_another_submission_has_is_refused_by_the_name_of_that_one(open_journal: Opened) -> None:
    journal = await open_journal()
    one, two = [await brought_to(journal, SubmissionState.SUBMITTING, key) for key in ("one", "two")]
    await journal.record_transition(one, SubmissionState.SUBMITTED, task_id=TaskId("7"))
    with pytest.raises(TaskConflict, match="belongs to the submission one") as caught:
        await journal.record_transition(two, SubmissionState.SUBMITTED, task_id=TaskId("7"))
    assert (caught.value.key, caught.value.task_id) == ("two", "7")


async def test_the_same_task_id_at_another_site_is_another_task(open_journal: Opened) -> None:
    here, there = await open_journal(), await open_journal(site="https://other.test")
    for journal in (here, there):
        record = await brought_to(journal, SubmissionState.SUBMITTING)
        await journal.transition(record, SubmissionState.SUBMITTED, task_id=TaskId("7"))
    assert await here.find_by_task(TaskId("7")) != await there.find_by_task(TaskId("7"))


async def test_a_claim_that_is_released_leaves_no_row_and_what_was_sent_is_never_released(
    open_journal: Opened, rows: Rows
) -> None:
    journal = await open_journal()
    await journal.release(await claimed(journal, fresh()))
    assert rows() == []
    record = await claimed(journal, fresh())
    await journal.transition(record, SubmissionState.SUBMITTING)
    await journal.release(record)
    assert [row.state for row in rows()] == [SubmissionState.SUBMITTING]


def cancels(task: asyncio.Future[Any], monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Cancel a task while the change that it waits for is being written, so that the change is made all the same."""
    loop, act = asyncio.get_running_loop(), getattr(SubmissionJournal, change)

    def cancelling(*args: Any, **facts: Any) -> Any:
        loop.call_soon_threadsafe(task.cancel)
        return act(*args, **facts)

    monkeypatch.setattr(SubmissionJournal, change, cancelling)


async def test_a_claim_cancelled_while_it_is_written_leaves_the_key_free_for_another_session(
    open_journal: Opened, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await open_journal()
    claiming = asyncio.ensure_future(claimed(journal, fresh()))
    cancels(claiming, monkeypatch, "_claim")
    with pytest.raises(asyncio.CancelledError):
        await claiming
    await journal.close()
    assert journal.changes == 2  # it was written, and taken back
    assert rows() == []


async def test_a_submit_cancelled_while_it_is_written_down_is_only_claimed(
    open_journal: Opened, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await open_journal()
    record = await claimed(journal, fresh())
    submitting = asyncio.ensure_future(journal.mark_submitting(record))
    cancels(submitting, monkeypatch, "_update")
    with pytest.raises(asyncio.CancelledError):
        await submitting
    await journal.close()
    assert journal.changes == 3  # it was written, and taken back
    assert [row.state for row in rows()] == [SubmissionState.CLAIMED]


async def test_a_delivery_without_a_token_names_no_submission(open_journal: Opened) -> None:
    journal = await open_journal()
    await claimed(journal, fresh(webhook_token=""))
    assert await journal.find_by_webhook_token("") is None


async def test_only_the_lost_attempt_the_server_was_asked_about_is_bought_again(
    open_journal: Opened, rows: Rows
) -> None:
    journal = await open_journal()
    for webhook_token in ("first", "second"):
        record = await claimed(journal, fresh(webhook_token=webhook_token), resubmit=True, gone=1)
        record = await journal.transition(record, SubmissionState.SUBMITTING)
        record = await journal.transition(record, SubmissionState.SUBMITTED, task_id=TaskId(webhook_token))
        await journal.transition(record, SubmissionState.LOST)
    assert (await claimed(journal, fresh(webhook_token="third"), resubmit=True, gone=1)).attempt == 2
    assert [row.state for row in rows()] == [SubmissionState.LOST, SubmissionState.LOST]
    assert (await claimed(journal, fresh(webhook_token="third"), resubmit=True, gone=2)).attempt == 3


async def test_a_running_sessions_claim_stands_and_an_ended_ones_is_replaced(open_journal: Opened) -> None:
    one, two = await open_journal(), await open_journal()
    first = await claimed(one, fresh(webhook_token="one"))
    assert await claimed(two, fresh(webhook_token="two")) == first
    await die(one)
    second = await claimed(two, fresh(webhook_token="two"))
    assert (second.attempt, second.owner, second.webhook_token) == (1, two.owner, "two")


async def test_an_ended_sessions_open_post_becomes_uncertain_and_a_running_ones_does_not(open_journal: Opened) -> None:
    one, two = await open_journal(), await open_journal()
    await brought_to(one, SubmissionState.SUBMITTING)
    assert (await claimed(two, fresh())).state is SubmissionState.SUBMITTING
    assert (await claimed(two, fresh(), resubmit=True)).state is SubmissionState.SUBMITTING
    await die(one)
    assert (await claimed(two, fresh())).state is SubmissionState.UNCERTAIN


@pytest.mark.parametrize("state", [SubmissionState.CLAIMED, SubmissionState.SUBMITTING, SubmissionState.SUBMITTED])
async def test_a_record_of_a_running_session_cannot_be_taken_over(state: SubmissionState, open_journal: Opened) -> None:
    one, two = await open_journal(), await open_journal()
    record = await brought_to(one, state)
    with pytest.raises(JournalError, match="still running"):
        await two.take_over(record)
    await die(one)
    assert (await two.take_over(record)).owner == two.owner


@pytest.mark.parametrize("state", [SubmissionState.SETTLED, SubmissionState.SAVED, SubmissionState.UNCERTAIN])
async def test_a_record_without_a_session_is_taken_over_once(state: SubmissionState, open_journal: Opened) -> None:
    one, two, three = await open_journal(), await open_journal(), await open_journal()
    record = await brought_to(one, state)
    await two.take_over(record)
    with pytest.raises(JournalError, match="another session took it over"):
        await three.take_over(record)


async def test_another_api_keys_record_is_refused_unless_nothing_was_bought_by_it(
    open_journal: Opened, rows: Rows
) -> None:
    mine, other = await open_journal(), await open_journal("o" * 32)
    for state in (SubmissionState.SUBMITTED, SubmissionState.SETTLED, SubmissionState.UNCERTAIN):
        await brought_to(mine, state, key=state)
        for again in (False, True):
            with pytest.raises(KeyConflict, match="under another API key"):
                await claimed(other, fresh(state), resubmit=again)
    for state in (SubmissionState.REFUSED, SubmissionState.ABANDONED):
        await brought_to(mine, state, key=state)
        assert (await claimed(other, fresh(state))).attempt == 2
    assert len(rows()) == 7


@pytest.mark.parametrize(
    "state", [SubmissionState.SUBMITTED, SubmissionState.SETTLED, SubmissionState.SAVED, SubmissionState.UNCERTAIN]
)
async def test_resubmit_opens_the_next_attempt_and_leaves_the_last_as_it_is(
    state: SubmissionState, open_journal: Opened, rows: Rows
) -> None:
    journal = await open_journal()
    record = await brought_to(journal, state)
    assert (await claimed(journal, fresh(webhook_token="n2"))).state is state
    second = await claimed(journal, fresh(webhook_token="n2"), resubmit=True)
    assert (second.attempt, second.state) == (2, SubmissionState.CLAIMED)
    assert [(row.attempt, row.state) for row in rows()] == [(1, record.state), (2, SubmissionState.CLAIMED)]


# --- uploads ---------------------------------------------------------------------------------------------------------


async def test_an_upload_is_remembered_until_its_link_dies_and_for_its_key_only(
    open_journal: Opened, wall: Wall
) -> None:
    journal, other = await open_journal(), await open_journal("o" * 32)
    upload = Upload(file_name="f.mp4", url="https://cdn.test/f", sha256="a" * 64, size=10)
    await journal.save_upload(upload, life=23 * 3600.0)
    assert await journal.find_upload("a" * 64, 10) == (upload, 23 * 3600.0)
    assert await journal.find_upload("a" * 64, 11) is None
    assert await other.find_upload("a" * 64, 10) is None
    wall.now += timedelta(hours=22, minutes=59)
    assert await journal.find_upload("a" * 64, 10) == (upload, 60.0)
    wall.now += timedelta(minutes=1)
    assert await journal.find_upload("a" * 64, 10) is None
    await journal.save_upload(upload, life=10.0)
    assert await journal.find_upload("a" * 64, 10) == (upload, 10.0)
    await journal.forget_upload("a" * 64)
    assert await journal.find_upload("a" * 64, 10) is None
