"""The journal's file: made whole or not at all, told truthfully when it is another, and watched while it is used."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from rh_async import DreamActor, Job, JournalError, RHError, Session
from rh_async._journal.sqlite_file import backup
from rh_async._journal.sqlite_schema import SCHEMA, VERSION
from rh_async._journal.submission_journal import SubmissionJournal
from rh_async.emulator import Emulator
from tests.journal.killing import journal_of, rows_of, sqlite_of

Act = Callable[[Path], object]


def request(number: int) -> DreamActor:
    return DreamActor("https://example.test/hero.png", f"https://example.test/{number}.mp4")


def beside(journal_path: Path, suffix: str) -> Path:
    return journal_path.with_name(journal_path.name + suffix)


# --- deleted or replaced while it is used ----------------------------------------------------------------------------


def deleted(journal_path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        beside(journal_path, suffix).unlink(missing_ok=True)


def replaced_by_a_copy(journal_path: Path) -> None:
    shutil.copyfile(beside(journal_path, ".old"), beside(journal_path, ".new"))
    beside(journal_path, ".new").replace(journal_path)


def flipped(journal_path: Path) -> None:
    log = bytearray(beside(journal_path, "-wal").read_bytes())
    if log:
        log[len(log) // 2] ^= 0x40
        with beside(journal_path, "-wal").open("r+b") as file:
            file.write(log)


ACTS: dict[str, Act] = {
    "deleted": deleted,
    "deleted, without its log": Path.unlink,
    "replaced by an older copy": replaced_by_a_copy,
    "overwritten by an older copy": lambda journal_path: shutil.copyfile(beside(journal_path, ".old"), journal_path),
    "emptied": lambda journal_path: os.truncate(journal_path, 0),
    "log emptied": lambda journal_path: os.truncate(beside(journal_path, "-wal"), 0),
    "log with a wrong bit": flipped,
    "log deleted": lambda journal_path: beside(journal_path, "-wal").unlink(),
    "index deleted": lambda journal_path: beside(journal_path, "-shm").unlink(),
}
NOTICED_AT_ONCE = {
    "deleted",
    "deleted, without its log",
    "replaced by an older copy",
    "emptied",
    "log deleted",
    "index deleted",
}


async def end_of(job: Job) -> object:
    try:
        return (await job).task_id
    except RHError as error:
        return error


async def all_again(server: Emulator, journal_path: Path) -> RHError | None:
    """Want everything once more, in a new session; what that says."""
    try:
        async with asyncio.timeout(3600), Session(server.api_key, base_url=server.url, journal=journal_path) as session:
            for number in range(6):
                await session.run(request(number))
    except RHError as error:
        return error
    return None


@pytest.mark.parametrize("idle", [0.0, 30.0], ids=["at once", "after a rest"])
@pytest.mark.parametrize("act", ACTS)
async def test_a_journal_that_is_tampered_with_buys_nothing_twice_without_an_error(
    act: str, idle: float, server: Emulator, journal_path: Path
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path):
        pass
    shutil.copyfile(journal_path, beside(journal_path, ".old"))
    said: list[RHError | None] = []
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        first = [await session.submit(request(number)) for number in range(4)]
        await asyncio.sleep(idle)
        ACTS[act](journal_path)
        later = [session.submit_nowait(request(number)) for number in range(4, 6)]
        ends = [await end_of(job) for job in later]
        said += [end for end in ends if isinstance(end, RHError)]
        said.append(await all_again(server, journal_path))
        assert [await end_of(job) for job in first] == [job.task_id for job in first]
    said.append(await all_again(server, journal_path))
    bought = len(server.ledger.tasks)
    assert bought <= 6 or any(said)
    if act in NOTICED_AT_ONCE:
        assert bought == 4
        assert all(isinstance(end, JournalError) and str(journal_path) in str(end) for end in ends)
        assert all(said)


async def test_a_rested_journal_overwritten_by_a_whole_copy_with_fewer_tasks_buys_nothing_more(
    server: Emulator, journal_path: Path
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        for number in range(2):
            await session.run(request(number))
            await asyncio.sleep(5)  # its log is copied into the file
            if number == 0:
                shutil.copyfile(journal_path, beside(journal_path, ".old"))
        shutil.copyfile(beside(journal_path, ".old"), journal_path)
        with pytest.raises(JournalError, match="was deleted or replaced"):
            await session.submit(request(1), resubmit=True)
    assert len(server.ledger.tasks) == 2


async def test_what_a_session_knew_of_a_deleted_journal_is_kept_and_can_be_put_back(
    server: Emulator, journal_path: Path
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        job = await session.submit(request(0))
        deleted(journal_path)
        with pytest.raises(JournalError, match="was deleted or replaced while this session used it") as caught:
            await session.submit(request(1))
        assert (await job).outputs
    (kept,) = journal_path.parent.glob("*.kept-*")
    assert str(kept) in str(caught.value)
    assert stat.S_IMODE(kept.stat().st_mode) & 0o077 == 0
    with pytest.raises(JournalError, match="holds what a session knew"):
        async with Session(server.api_key, base_url=server.url, journal=journal_path):
            pass
    kept.rename(journal_path)
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        assert (await session.run(request(0))).task_id == job.task_id
    assert len(server.ledger.tasks) == 1


async def test_a_log_that_another_session_copied_into_the_file_is_no_tampering(
    server: Emulator, journal_path: Path
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as one:
        await one.submit(request(0))
        async with Session(server.api_key, base_url=server.url, journal=journal_path) as two:
            await two.submit(request(1))
            await asyncio.sleep(10)
        await one.submit(request(2))
        await asyncio.sleep(10)
        await one.submit(request(3))
    assert len(rows_of(journal_path)) == len(server.ledger.tasks) == 4


# --- made, and recognised --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["nothing", "an empty database", "a schema without salt"])
async def test_a_journal_whose_making_was_cut_off_is_made_anew(left: str, server: Emulator, journal_path: Path) -> None:
    if left != "nothing":
        with closing(sqlite3.connect(journal_path)) as db:
            db.execute("PRAGMA journal_mode = WAL").fetchone()
            if left == "a schema without salt":
                db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    else:
        journal_path.touch()
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        await session.submit(request(0))
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        await session.run(request(0))
    assert len(server.ledger.tasks) == 1


def some_database(journal_path: Path, version: int = 0) -> None:
    with closing(sqlite3.connect(journal_path)) as db:
        db.executescript(f"CREATE TABLE notes (text); PRAGMA user_version = {version};")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (some_database, "another program's database"),
        (lambda journal_path: some_database(journal_path, 2), "another program's database"),
        (lambda journal_path: journal_path.write_text("plain text, and nothing else" * 100), "file of another kind"),
        (lambda journal_path: journal_path.write_bytes(bytes(range(256)) * 64), "file of another kind"),
        (Path.mkdir, "it is a directory"),
    ],
)
async def test_a_file_that_is_not_ours_is_called_what_it_is_and_left_as_it_is(
    make: Act, words: str, server: Emulator, journal_path: Path
) -> None:
    make(journal_path)
    before = journal_path.read_bytes() if journal_path.is_file() else b""
    with pytest.raises(JournalError, match=words) as caught:
        async with Session(server.api_key, base_url=server.url, journal=journal_path):
            pass
    assert str(journal_path) in str(caught.value)
    assert (journal_path.read_bytes() if journal_path.is_file() else b"") == before
    assert not beside(journal_path, "-wal").exists()


def _pragma(journal: SubmissionJournal, name: str) -> list[tuple[object, ...]]:
    return sqlite_of(journal)._db.execute(f"PRAGMA {name}").fetchall()


async def test_every_commit_reaches_the_disk_before_it_is_believed(server: Emulator, journal_path: Path) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        journal = journal_of(session)
        for pragma, value in {"synchronous": 2, "journal_mode": "wal"}.items():
            (row,) = await journal._writer.in_thread(partial(_pragma, journal, pragma))
            assert row == (value,)


async def test_what_is_kept_of_a_deleted_journal_reaches_the_disk_before_it_is_believed(
    server: Emulator, journal_path: Path
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        await session.submit(request(0))
        deleted(journal_path)
        with pytest.raises(JournalError):
            await session.submit(request(1))
        journal = journal_of(session)
        (row,) = await journal._writer.in_thread(partial(_pragma, journal, "synchronous"))
        assert row == (2,)
    assert len(list(journal_path.parent.glob("*.kept-*"))) == 1


# --- copies ----------------------------------------------------------------------------------------------------------


def tasks_in(journal_path: Path) -> set[str | None]:
    return {row.task_id for row in rows_of(journal_path)}


async def test_the_file_alone_has_every_row_once_the_session_has_rested(
    server: Emulator, journal_path: Path, tmp_path: Path
) -> None:
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        jobs = [await session.submit(request(number)) for number in range(3)]
        for job in jobs:
            await job
        await asyncio.sleep(5)
        await journal_of(session)._writer.in_thread(lambda: None)
        alone = shutil.copyfile(journal_path, tmp_path / "alone.db")
        assert tasks_in(alone) == {job.task_id for job in jobs}
    assert not beside(journal_path, "-wal").exists()


async def test_a_long_run_without_a_rest_copies_its_log_too(
    server: Emulator, journal_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rh_async._journal.group_commit._COMMITS_IN_LOG", 3)
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        job = await session.submit(request(0))
        await session.submit(request(1))
        with closing(sqlite3.connect(f"{journal_path.as_uri()}?immutable=1", uri=True)) as file_alone:
            assert (job.task_id,) in file_alone.execute("SELECT task_id FROM jobs").fetchall()


async def test_a_backup_is_one_whole_file_though_the_session_goes_on(
    server: Emulator, journal_path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        job = await session.submit(request(0))
        await asyncio.to_thread(backup, journal_path, copy)
        assert tasks_in(copy) == {job.task_id}
        await session.submit(request(1))
        await asyncio.to_thread(backup, journal_path, copy)
        assert len(tasks_in(copy)) == 2
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.db"]
    assert stat.S_IMODE(copy.stat().st_mode) & 0o077 == 0
    async with Session(server.api_key, base_url=server.url, journal=copy) as session:
        assert (await session.run(request(0))).task_id == job.task_id
    assert len(server.ledger.tasks) == 2


@pytest.mark.parametrize("name", ["journal.db", "hard.db", "symbolic.db"])
async def test_a_journal_is_never_replaced_by_a_copy_of_itself(server: Emulator, tmp_path: Path, name: str) -> None:
    journal_path = tmp_path / "journal.db"
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        await session.submit(request(0))
        (tmp_path / "hard.db").hardlink_to(journal_path)
        (tmp_path / "symbolic.db").symlink_to(journal_path)
        inode = journal_path.stat().st_ino
        with pytest.raises(JournalError, match=f"{name} is the journal itself.*Name another file"):
            await asyncio.to_thread(backup, journal_path, tmp_path / name)
        assert journal_path.stat().st_ino == inode
        await session.submit(request(1))
    assert len(rows_of(journal_path)) == len(server.ledger.tasks) == 2


def test_a_copy_that_cannot_be_written_does_not_blame_the_journal(tmp_path: Path) -> None:
    journal_path = tmp_path / "journal.db"
    with closing(sqlite3.connect(journal_path)) as db:
        db.executescript(SCHEMA)
        db.execute("INSERT INTO meta VALUES ('salt', x'00')")
        db.commit()
    with pytest.raises(JournalError) as refused:
        backup(journal_path, tmp_path / "none" / "copy.db")
    told = str(refused.value)
    assert told.endswith("copy.db: No such file or directory. Name another file."), told


def test_a_backup_is_made_of_a_journal_only_and_over_nothing_else(tmp_path: Path) -> None:
    journal_path, other = tmp_path / "journal.db", tmp_path / "other"
    with pytest.raises(JournalError, match="is no journal"):
        backup(journal_path, other)
    assert list(tmp_path.iterdir()) == []
    some_database(journal_path)
    with pytest.raises(JournalError, match="is no journal"):
        backup(journal_path, other)
    with closing(sqlite3.connect(journal_path)) as db:
        db.executescript(SCHEMA)
        db.execute("INSERT INTO meta VALUES ('salt', x'00')")
    other.write_text("a film")
    with pytest.raises(JournalError, match="is no journal"):
        backup(journal_path, other)
    assert other.read_text() == "a film"
