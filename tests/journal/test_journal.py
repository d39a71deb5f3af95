"""The journal itself: its rows and moves, its file, its owners, and what it keeps of uploads."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from rh_async import DreamActor, JournalError, Session
from rh_async._journal.lease import ProcessLease
from rh_async._journal.records import TRANSITIONS, SubmissionRecord, SubmissionState
from rh_async._journal.sqlite import SqliteStore
from rh_async._journal.store import TaskConflict
from rh_async._journal.submission_journal import SubmissionJournal
from rh_async.emulator import Emulator
from rh_async.errors import KeyConflict
from rh_async.types import TaskId, Upload
from tests.journal.killing import drop_lock, rows_of, sqlite_of

pytestmark = pytest.mark.quick

SITE = "https://site.test"
LINKED = DreamActor("https://example.test/hero.png", "https://example.test/dance.mp4")
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
LEGAL = [(now, to) for now, moves in TRANSITIONS.items() for to in sorted(moves)]
ILLEGAL = [pair for pair in product(SubmissionState, SubmissionState) if pair not in LEGAL]


@define
class Wall:
    """A time of day that is told when to move."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def opened(book: Path, wall: Wall) -> AsyncIterator[Callable[..., object]]:
    """Opens journals on one file, and closes them all."""
    journals: list[SubmissionJournal] = []

    async def open_one(api_key: str = "k" * 32, site: str = SITE) -> SubmissionJournal:
        journal = SubmissionJournal(store=SqliteStore(book, site), wall=wall)
        await journal.open(api_key)
        journals.append(journal)
        return journal

    yield open_one
    for journal in journals:
        if sqlite_of(journal).lease._file is not None:
            await journal.close()


Opened = Callable[..., "asyncio.Future[SubmissionJournal]"]


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
    """Leave as a killed process does: the lock is gone, its file is not."""
    drop_lock(journal)
    journal._writer._cancel_idle()
    await journal._writer.in_thread(sqlite_of(journal)._db.close)
    journal._writer.thread.shutdown(wait=False)


# --- moves -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("now", "to"), LEGAL)
async def test_every_move_of_the_table_is_made_and_is_durable(
    now: SubmissionState, to: SubmissionState, opened: Opened, book: Path
) -> None:
    journal = await opened()
    moved = await journal.transition(await brought_to(journal, now), to)
    assert moved.state is to
    assert [row.state for row in rows_of(book)] == [to]


@pytest.mark.parametrize(("now", "to"), ILLEGAL)
async def test_every_other_move_is_refused_and_changes_nothing(
    now: SubmissionState, to: SubmissionState, opened: Opened, book: Path
) -> None:
    journal = await opened()
    record = await brought_to(journal, now)
    with pytest.raises(JournalError, match=f"there is no transition from {now} to {to}"):
        await journal.transition(record, to)
    assert [row.state for row in rows_of(book)] == [now]


async def test_a_move_from_what_is_no_longer_so_is_refused(opened: Opened, book: Path) -> None:
    journal = await opened()
    old = await brought_to(journal, SubmissionState.SUBMITTING)
    await journal.transition(old, SubmissionState.UNCERTAIN)
    with pytest.raises(JournalError, match="another session has changed it"):
        await journal.transition(old, SubmissionState.SUBMITTED, task_id=TaskId("7"))
    assert [row.state for row in rows_of(book)] == [SubmissionState.UNCERTAIN]


async def test_a_task_belongs_to_one_row_only_and_its_neighbours_in_a_commit_are_kept(
    opened: Opened, book: Path
) -> None:
    journal = await opened()
    one, two, three = [await brought_to(journal, SubmissionState.SUBMITTING, key) for key in ("one", "two", "three")]
    ends = await asyncio.gather(
        journal.transition(one, SubmissionState.SUBMITTED, task_id=TaskId("7")),
        journal.transition(two, SubmissionState.SUBMITTED, task_id=TaskId("7")),
        journal.transition(three, SubmissionState.SUBMITTED, task_id=TaskId("8")),
        return_exceptions=True,
    )
    assert [isinstance(end, JournalError) for end in ends] == [False, True, False]
    assert {row.key: row.task_id for row in rows_of(book)} == {"one": "7", "two": None, "three": "8"}


async def test_a_task_that_another_submission_has_is_refused_by_the_name_of_that_one(opened: Opened) -> None:
    journal = await opened()
    one, two = [await brought_to(journal, SubmissionState.SUBMITTING, key) for key in ("one", "two")]
    await journal.record_transition(one, SubmissionState.SUBMITTED, task_id=TaskId("7"))
    with pytest.raises(TaskConflict, match="belongs to the submission one") as caught:
        await journal.record_transition(two, SubmissionState.SUBMITTED, task_id=TaskId("7"))
    assert (caught.value.key, caught.value.task_id) == ("two", "7")


async def test_the_same_task_id_at_another_site_is_another_task(opened: Opened) -> None:
    here, there = await opened(), await opened(site="https://other.test")
    for journal in (here, there):
        record = await brought_to(journal, SubmissionState.SUBMITTING)
        await journal.transition(record, SubmissionState.SUBMITTED, task_id=TaskId("7"))
    assert await here.find_by_task(TaskId("7")) != await there.find_by_task(TaskId("7"))


async def test_a_claim_that_is_released_leaves_no_row_and_what_was_sent_is_never_released(
    opened: Opened, book: Path
) -> None:
    journal = await opened()
    await journal.release(await claimed(journal, fresh()))
    assert rows_of(book) == []
    record = await claimed(journal, fresh())
    await journal.transition(record, SubmissionState.SUBMITTING)
    await journal.release(record)
    assert [row.state for row in rows_of(book)] == [SubmissionState.SUBMITTING]


def cancels(task: asyncio.Future[Any], monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Cancel a task while the change that it waits for is being written, so that the change is made all the same."""
    loop, act = asyncio.get_running_loop(), getattr(SubmissionJournal, change)

    def cancelling(*args: Any, **facts: Any) -> Any:
        loop.call_soon_threadsafe(task.cancel)
        return act(*args, **facts)

    monkeypatch.setattr(SubmissionJournal, change, cancelling)


async def test_a_claim_cancelled_while_it_is_written_leaves_the_key_free_for_another_session(
    opened: Opened, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await opened()
    claiming = asyncio.ensure_future(claimed(journal, fresh()))
    cancels(claiming, monkeypatch, "_claim")
    with pytest.raises(asyncio.CancelledError):
        await claiming
    await journal.close()
    assert journal.changes == 2  # it was written, and taken back
    assert rows_of(book) == []


async def test_a_submit_cancelled_while_it_is_written_down_is_only_claimed(
    opened: Opened, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await opened()
    record = await claimed(journal, fresh())
    submitting = asyncio.ensure_future(journal.mark_submitting(record))
    cancels(submitting, monkeypatch, "_update")
    with pytest.raises(asyncio.CancelledError):
        await submitting
    await journal.close()
    assert journal.changes == 3  # it was written, and taken back
    assert [row.state for row in rows_of(book)] == [SubmissionState.CLAIMED]


async def test_a_delivery_without_a_token_names_no_submission(opened: Opened) -> None:
    journal = await opened()
    await claimed(journal, fresh(webhook_token=""))
    assert await journal.find_by_webhook_token("") is None


async def test_only_the_lost_attempt_the_server_was_asked_about_is_bought_again(opened: Opened, book: Path) -> None:
    journal = await opened()
    for webhook_token in ("first", "second"):
        record = await claimed(journal, fresh(webhook_token=webhook_token), resubmit=True, gone=1)
        record = await journal.transition(record, SubmissionState.SUBMITTING)
        record = await journal.transition(record, SubmissionState.SUBMITTED, task_id=TaskId(webhook_token))
        await journal.transition(record, SubmissionState.LOST)
    assert (await claimed(journal, fresh(webhook_token="third"), resubmit=True, gone=1)).attempt == 2
    assert [row.state for row in rows_of(book)] == [SubmissionState.LOST, SubmissionState.LOST]
    assert (await claimed(journal, fresh(webhook_token="third"), resubmit=True, gone=2)).attempt == 3


# --- the file --------------------------------------------------------------------------------------------------------


async def test_only_its_owner_may_read_the_file_and_those_beside_it(opened: Opened, book: Path) -> None:
    journal = await opened()
    await claimed(journal, fresh())
    files = [path for path in book.parent.rglob("*") if path.is_file() and path.name.startswith(("journal", "door"))]
    assert len(files) >= 4
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {0}


async def test_the_key_itself_is_written_nowhere_and_its_fingerprint_differs_by_salt(tmp_path: Path) -> None:
    fingerprints, key = [], "s" * 32
    for name in ("one", "two"):
        journal = SubmissionJournal(store=SqliteStore(tmp_path / name, SITE), wall=Wall())
        await journal.open(key)
        await claimed(journal, fresh())
        fingerprints.append(sqlite_of(journal).fingerprint)
        await journal.close()
    assert len({*fingerprints, key}) == 3
    assert all(key.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


async def test_the_fingerprint_of_a_key_is_the_same_next_time(opened: Opened) -> None:
    one, two, other = await opened(), await opened(), await opened("o" * 32)
    assert sqlite_of(one).fingerprint == sqlite_of(two).fingerprint != sqlite_of(other).fingerprint


async def refused_on_opening(server: Emulator, book: Path, words: str) -> None:
    """A session says in one line that it cannot use its journal, and nothing reaches the server."""
    with pytest.raises(JournalError, match=words) as caught:
        async with Session(server.api_key, base_url=server.url, journal=book) as session:
            await session.run(LINKED)
    assert "\n" not in str(caught.value)
    assert server.ledger.submissions == []
    assert server.ledger.tasks == []


async def test_a_journal_of_the_first_version_is_brought_up_to_date(server: Emulator, book: Path) -> None:
    async with Session(server.api_key, base_url=server.url, journal=book) as session:
        bought = await session.run(LINKED)
    connection = sqlite3.connect(book)
    for column in ("driving", "contents", "status"):
        connection.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    async with Session(server.api_key, base_url=server.url, journal=book) as session:
        again = await session.run(LINKED)
    assert again.task_id == bought.task_id
    assert len(server.ledger.tasks) == 1


async def test_a_newer_journal_is_refused_and_left_as_it_is(server: Emulator, book: Path) -> None:
    connection = sqlite3.connect(book)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = book.read_bytes()
    await refused_on_opening(server, book, "newer version")
    assert book.read_bytes() == before


async def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(server: Emulator, book: Path) -> None:
    book.write_bytes(b"my diary, not a database" * 100)
    await refused_on_opening(server, book, "cannot be used")
    assert book.read_bytes() == b"my diary, not a database" * 100


async def test_a_folder_that_is_not_there_or_is_a_file_is_refused(server: Emulator, tmp_path: Path) -> None:
    await refused_on_opening(server, tmp_path / "nowhere" / "journal.db", "cannot be used")
    await refused_on_opening(server, tmp_path, "cannot be used")


async def test_a_file_that_may_not_be_opened_is_refused(
    server: Emulator, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def forbidden(path: os.PathLike[str], *options: int, **more: int) -> int:
        # A stand-in for the mode 0400: nothing is read-only for root, as whom the tests may run.
        if Path(path) == book:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *options, **more)

    monkeypatch.setattr("rh_async._journal.sqlite_file.os.open", forbidden)
    await refused_on_opening(server, book, "Permission denied")


@pytest.mark.parametrize(
    ("pragma", "says"), [("query_only = 1", "readonly database"), ("max_page_count = 1", "disk is full")]
)
async def test_a_disk_that_turns_read_only_or_full_submits_nothing(
    pragma: str, says: str, server: Emulator, book: Path
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=book) as session:
        assert session._lifetime.runtime is not None
        journal = session._lifetime.runtime.journal
        assert journal is not None
        await journal._writer.in_thread(lambda: sqlite_of(journal)._db.execute(f"PRAGMA {pragma}").fetchall())
        with pytest.raises(JournalError, match=says) as caught:
            for number in range(200):  # what is left of a page takes some rows
                await session.submit(LINKED, idempotency_key=f"{number} {'x' * 400}")
        assert not caught.value.maybe_billed
        bought = len(server.ledger.submissions)
        with pytest.raises(JournalError, match=says):
            await session.submit(LINKED, idempotency_key="one more " + "x" * 400)
    assert len(server.ledger.submissions) == bought
    assert (bought == 0) is (pragma == "query_only = 1")


@pytest.mark.parametrize("fails", ["claim", "submitting"])
async def test_a_journal_that_fails_before_the_post_submits_nothing(
    fails: str, server: Emulator, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "_claim" if fails == "claim" else "_update"

    def full(*_: object, **__: object) -> SubmissionRecord:
        raise sqlite3.OperationalError("database or disk is full")

    async with Session(server.api_key, base_url=server.url, journal=book) as session:
        monkeypatch.setattr(SubmissionJournal, name, full)
        with pytest.raises(JournalError, match="disk is full") as caught:
            await session.run(LINKED)
        assert not caught.value.maybe_billed
    assert server.ledger.submissions == []


async def test_many_open_one_new_file_at_once(opened: Opened) -> None:
    journals = await asyncio.gather(*(opened() for _ in range(8)))
    records = await asyncio.gather(*(claimed(journal, fresh()) for journal in journals))
    assert len({record.owner for record in records}) == 1
    assert len({sqlite_of(journal).fingerprint for journal in journals}) == 1


# --- owners ----------------------------------------------------------------------------------------------------------


def test_an_owner_lives_until_its_lock_is_dropped_and_the_next_one_sweeps_it_away(tmp_path: Path) -> None:
    one, two = ProcessLease(tmp_path / "owners"), ProcessLease(tmp_path / "owners")
    assert not one.is_alive(one.name)
    one.acquire()
    two.acquire()
    assert one.is_alive(one.name)
    assert two.is_alive(one.name)
    assert not two.is_alive("nobody")
    assert one._file is not None
    os.close(one._file)
    one._file = None
    assert not two.is_alive(one.name)
    three = ProcessLease(tmp_path / "owners")
    three.acquire()
    assert {path.stem for path in (tmp_path / "owners").glob("*.alive")} == {two.name, three.name}
    two.release()
    two.release()
    three.release()
    assert list((tmp_path / "owners").glob("*.alive")) == []


async def test_a_live_owners_claim_stands_and_a_dead_ones_is_free(opened: Opened) -> None:
    one, two = await opened(), await opened()
    first = await claimed(one, fresh(webhook_token="one"))
    assert await claimed(two, fresh(webhook_token="two")) == first
    await die(one)
    second = await claimed(two, fresh(webhook_token="two"))
    assert (second.attempt, second.owner, second.webhook_token) == (1, two.owner, "two")


async def test_a_dead_owners_open_post_becomes_uncertain_and_a_live_ones_does_not(opened: Opened) -> None:
    one, two = await opened(), await opened()
    await brought_to(one, SubmissionState.SUBMITTING)
    assert (await claimed(two, fresh())).state is SubmissionState.SUBMITTING
    assert (await claimed(two, fresh(), resubmit=True)).state is SubmissionState.SUBMITTING
    await die(one)
    assert (await claimed(two, fresh())).state is SubmissionState.UNCERTAIN


@pytest.mark.parametrize("state", [SubmissionState.CLAIMED, SubmissionState.SUBMITTING, SubmissionState.SUBMITTED])
async def test_what_a_live_owner_carries_cannot_be_inherited(state: SubmissionState, opened: Opened) -> None:
    one, two = await opened(), await opened()
    record = await brought_to(one, state)
    with pytest.raises(JournalError, match="still running"):
        await two.take_over(record)
    await die(one)
    assert (await two.take_over(record)).owner == two.owner


@pytest.mark.parametrize("state", [SubmissionState.SETTLED, SubmissionState.SAVED, SubmissionState.UNCERTAIN])
async def test_what_nobody_carries_is_inherited_once(state: SubmissionState, opened: Opened) -> None:
    one, two, three = await opened(), await opened(), await opened()
    record = await brought_to(one, state)
    await two.take_over(record)
    with pytest.raises(JournalError, match="another session took it over"):
        await three.take_over(record)


async def test_another_keys_row_is_refused_unless_nothing_was_bought_by_it(opened: Opened, book: Path) -> None:
    mine, other = await opened(), await opened("o" * 32)
    for state in (SubmissionState.SUBMITTED, SubmissionState.SETTLED, SubmissionState.UNCERTAIN):
        await brought_to(mine, state, key=state)
        for again in (False, True):
            with pytest.raises(KeyConflict, match="under another API key"):
                await claimed(other, fresh(state), resubmit=again)
    for state in (SubmissionState.REFUSED, SubmissionState.ABANDONED):
        await brought_to(mine, state, key=state)
        assert (await claimed(other, fresh(state))).attempt == 2
    assert len(rows_of(book)) == 7


@pytest.mark.parametrize(
    "state", [SubmissionState.SUBMITTED, SubmissionState.SETTLED, SubmissionState.SAVED, SubmissionState.UNCERTAIN]
)
async def test_again_opens_the_next_attempt_and_leaves_the_last_as_it_is(
    state: SubmissionState, opened: Opened, book: Path
) -> None:
    journal = await opened()
    record = await brought_to(journal, state)
    assert (await claimed(journal, fresh(webhook_token="n2"))).state is state
    second = await claimed(journal, fresh(webhook_token="n2"), resubmit=True)
    assert (second.attempt, second.state) == (2, SubmissionState.CLAIMED)
    assert [(row.attempt, row.state) for row in rows_of(book)] == [(1, record.state), (2, SubmissionState.CLAIMED)]


# --- uploads ---------------------------------------------------------------------------------------------------------


async def test_an_upload_is_remembered_until_its_link_dies_and_for_its_key_only(opened: Opened, wall: Wall) -> None:
    journal, other = await opened(), await opened("o" * 32)
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
