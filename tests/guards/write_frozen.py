"""Write a journal and a batch of this version's schema, for later versions to read::

    python -m tests.guards.write_frozen

Sessions run against an emulator until the journal has a row in every state. Times and random names are then replaced by
fixed ones. An existing file is left alone: what an earlier version wrote never changes.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from rh_async import DreamActor, RHError, Session
from rh_async.emulator import Emulator, Fault
from rh_async.errors import JobLost
from tests.guards.batch_runs import VIDEO, first_run
from tests.guards.golden import FROZEN
from tests.virtual_clock import VirtualClockLoop

SEED = 1  #: of the emulator, which decides the API key whose fingerprint the journal holds
SITE = "http://127.0.0.1:1"  #: in the place of the emulator's address
FOLDER = "/frozen"  #: in the place of the folder of the file that went up; outputs were saved to its folder ``out``
IMAGE = b"\x89PNG\r\n\x1a\nhero"  #: the content of the one file that went up

Open = Callable[..., Session]


def linked(number: int) -> DreamActor:
    """Return a request that needs no upload."""
    return DreamActor(f"https://example.test/hero{number}.png", VIDEO)


async def _run_settled_jobs(open_session: Open, server: Emulator, folder: Path) -> None:
    """Run jobs until there is a row in every state that a finished job can have."""
    image = folder / "hero.png"
    image.write_bytes(IMAGE)
    async with open_session() as session:
        server.faults.add(Fault("error_code", route="query", code="1004", times=None))
        with suppress(JobLost):
            await session.run(linked(1), idempotency_key="lost")
        server.faults.clear()
        await session.run(DreamActor(image, VIDEO), idempotency_key="saved", output_dir=folder / "out")
        await session.run(linked(2), idempotency_key="settled")
        await session.run(linked(2), idempotency_key="settled", resubmit=True)
        await session.run(linked(3))
        for key, fault in {
            "failed": Fault("failed"),
            "refused": Fault("error_code", code="1501"),
            "uncertain": Fault("drop_after_accept"),
            "abandoned": Fault("drop_after_accept"),
        }.items():
            server.faults.add(fault)
            with suppress(RHError):
                await session.run(linked(4), idempotency_key=key)
        await session.recovery.discard("abandoned")


async def _copy_while_jobs_run(open_session: Open, server: Emulator, folder: Path, copy: Path) -> None:
    """Copy the journal while jobs run, one submit is unanswered, and one job waits for a slot."""
    async with open_session(in_flight=3) as session:
        running = asyncio.ensure_future(session.run(linked(5), idempotency_key="running", output_dir=folder / "out"))
        await session.submit(linked(6), idempotency_key="running, no folder")
        await asyncio.sleep(1)
        server.faults.add(Fault("hang"))
        session.submit_nowait(linked(7), idempotency_key="submitting")
        await asyncio.sleep(1)
        session.submit_nowait(linked(8), idempotency_key="claimed")
        await asyncio.sleep(1)
        with closing(sqlite3.connect(folder / "journal.db")) as source, closing(sqlite3.connect(copy)) as sink:
            source.backup(sink)
        running.cancel()


def _normalise(copy: Path, site: str, folder: Path) -> None:
    """Replace what differs from run to run: times, owners, webhook tokens, the address and the folder."""
    minute = "'2026-01-01T12:' || printf('%02d', rowid) || ':"
    with closing(sqlite3.connect(copy)) as db:
        for table, columns in {"jobs": "site folder paths raw inputs contents", "uploads": "site url"}.items():
            for column in columns.split():
                change = (
                    f"UPDATE {table} SET {column} = CAST(replace(replace({column}, ?, ?), ?, ?) AS {_kind(column)})"  # noqa: S608
                )
                db.execute(change, (site, SITE, str(folder), FOLDER))
        db.execute(f"UPDATE jobs SET claimed_utc = {minute}00+00:00', owner = 'frozen', nonce = printf('%032x', rowid)")  # noqa: S608
        db.execute(f"UPDATE jobs SET submitted_utc = {minute}01+00:00' WHERE submitted_utc IS NOT NULL")  # noqa: S608
        db.execute(f"UPDATE jobs SET noticed_utc = {minute}21+00:00' WHERE noticed_utc IS NOT NULL")  # noqa: S608
        db.execute("UPDATE uploads SET until = 4102444800")  # 2100: however late a test runs, the upload still serves
        db.commit()
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("VACUUM")


def _kind(column: str) -> str:
    return "BLOB" if column == "raw" else "TEXT"


async def write_journal(copy: Path) -> None:
    """Run the sessions, and copy their journal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Emulator(seed=SEED, run_time=20.0) as server:

            def open_session(**more: int) -> Session:
                return Session(server.api_key, base_url=server.url, journal=folder / "journal.db", **more)  # type: ignore[arg-type]

            await _run_settled_jobs(open_session, server, folder)
            await _copy_while_jobs_run(open_session, server, folder, copy)
            _normalise(copy, server.url, folder)


async def write_batch(copy: Path) -> None:
    """Run a batch, and copy its journal and its output folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Emulator(seed=SEED, run_time=20.0) as server:
            await first_run(server, folder)
            copy.mkdir()
            shutil.copyfile(folder / "journal.sqlite", copy / "journal.sqlite")
            _normalise(copy / "journal.sqlite", server.url, folder)
        shutil.copytree(folder / "out", copy / "out")
        for path in (copy / "out").glob("*.json*"):
            text = path.read_text().replace(str(folder), FOLDER)
            text = re.sub(r"\"\d{4}-\d\d-\d\dT[^\"]*\"", '"2026-01-01T12:01:01+00:00"', text)
            path.write_text(re.sub(r'("seconds": )[\d.e-]+', r"\g<1>20.0", text))


def main() -> None:
    """Write the journals of today's schema, unless they are there."""
    with tempfile.TemporaryDirectory() as name, asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        journal, batch = Path(name) / "journal", Path(name) / "batch"
        runner.run(write_journal(journal))
        runner.run(write_batch(batch))
        with closing(sqlite3.connect(journal)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
        FROZEN.mkdir(parents=True, exist_ok=True)
        for written, target in [
            (journal, FROZEN / f"journal-v{version}.sqlite"),
            (batch, FROZEN / f"batch-v{version}"),
        ]:
            if target.exists():
                sys.stdout.write(f"{target} is there and stays as it is\n")
            else:
                shutil.move(written, target)


if __name__ == "__main__":
    main()
