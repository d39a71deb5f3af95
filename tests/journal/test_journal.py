"""The journal's file: who may read it, which files are refused, what happens when it cannot be written; and leases."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from attrs import evolve

from rh_async import DreamActor, JournalError, Session
from rh_async._journal.lease import ProcessLease
from rh_async._journal.records import SubmissionRecord
from rh_async._journal.sqlite import SqliteStore
from rh_async._journal.submission_journal import SubmissionJournal
from rh_async.emulator import Emulator
from tests.journal.journals import SITE, Opened, Wall, claimed, die, fresh
from tests.journal.killing import rows_of, sqlite_of

pytestmark = pytest.mark.quick

LINKED = DreamActor("https://example.test/hero.png", "https://example.test/dance.mp4")


# --- the file --------------------------------------------------------------------------------------------------------


async def test_only_its_owner_may_read_the_file_and_those_beside_it(opened: Opened, journal_path: Path) -> None:
    journal = await opened()
    await claimed(journal, fresh())
    files = [
        path for path in journal_path.parent.rglob("*") if path.is_file() and path.name.startswith(("journal", "door"))
    ]
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


async def refused_on_opening(server: Emulator, journal_path: Path, words: str) -> None:
    """A session says in one line that it cannot use its journal, and nothing reaches the server."""
    with pytest.raises(JournalError, match=words) as caught:
        async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
            await session.run(LINKED)
    assert "\n" not in str(caught.value)
    assert server.ledger.submissions == []
    assert server.ledger.tasks == []


async def test_a_journal_of_the_first_version_is_brought_up_to_date(server: Emulator, journal_path: Path) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        bought = await session.run(LINKED)
    connection = sqlite3.connect(journal_path)
    for column in ("driving", "contents", "status"):
        connection.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        again = await session.run(LINKED)
    assert again.task_id == bought.task_id
    assert len(server.ledger.tasks) == 1


async def test_a_newer_journal_is_refused_and_left_as_it_is(server: Emulator, journal_path: Path) -> None:
    connection = sqlite3.connect(journal_path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = journal_path.read_bytes()
    await refused_on_opening(server, journal_path, "newer version")
    assert journal_path.read_bytes() == before


async def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(server: Emulator, journal_path: Path) -> None:
    journal_path.write_bytes(b"plain text, not a database" * 100)
    await refused_on_opening(server, journal_path, "cannot be used")
    assert journal_path.read_bytes() == b"plain text, not a database" * 100


async def test_a_folder_that_is_not_there_or_is_a_file_is_refused(server: Emulator, tmp_path: Path) -> None:
    await refused_on_opening(server, tmp_path / "nowhere" / "journal.db", "cannot be used")
    await refused_on_opening(server, tmp_path, "cannot be used")


async def test_a_file_that_may_not_be_opened_is_refused(
    server: Emulator, journal_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def forbidden(path: os.PathLike[str], *options: int, **more: int) -> int:
        # A stand-in for the mode 0400: nothing is read-only for root, as whom the tests may run.
        if Path(path) == journal_path:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *options, **more)

    monkeypatch.setattr("rh_async._journal.sqlite_file.os.open", forbidden)
    await refused_on_opening(server, journal_path, "Permission denied")


@pytest.mark.parametrize(
    ("pragma", "says"), [("query_only = 1", "readonly database"), ("max_page_count = 1", "disk is full")]
)
async def test_a_disk_that_turns_read_only_or_full_submits_nothing(
    pragma: str, says: str, server: Emulator, journal_path: Path
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
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
    fails: str, server: Emulator, journal_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "_claim" if fails == "claim" else "_update"

    def full(*_: object, **__: object) -> SubmissionRecord:
        raise sqlite3.OperationalError("database or disk is full")

    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
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


async def test_a_change_that_fails_half_way_keeps_nothing_of_what_it_wrote(opened: Opened, journal_path: Path) -> None:
    ended, journal = await opened(), await opened()
    await claimed(ended, fresh())
    await die(ended)
    unstorable = evolve(fresh(), inputs="\ud800")  # its claim deletes the ended session's, and then cannot be written
    ends = await asyncio.gather(
        journal.claim(unstorable), journal.claim(fresh("neighbour", "n2")), return_exceptions=True
    )
    assert [isinstance(end, JournalError) for end in ends] == [True, False]
    assert {row.key: row.owner for row in rows_of(journal_path)} == {"clip": ended.owner, "neighbour": journal.owner}


# --- owners ----------------------------------------------------------------------------------------------------------


def test_a_lease_holds_until_its_lock_is_dropped_and_the_next_session_removes_its_file(tmp_path: Path) -> None:
    one, two = ProcessLease(tmp_path / "owners"), ProcessLease(tmp_path / "owners")
    assert not one.is_alive(one.name)
    one.acquire()
    two.acquire()
    assert one.is_alive(one.name)
    assert two.is_alive(one.name)
    assert not two.is_alive("unknown")
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
