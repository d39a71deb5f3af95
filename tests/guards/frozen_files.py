"""Restore frozen files for a test: with the emulator's address, the test's folder, and tasks the emulator has."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

from rh_async.emulator import Emulator
from tests.guards.batch_runs import VIDEO
from tests.guards.golden import FROZEN
from tests.guards.write_frozen import FOLDER, IMAGE, SITE

JOURNALS = sorted(FROZEN.glob("journal-v*.sqlite"))
BATCHES = sorted(FROZEN.glob("batch-v*"))

_RUNNING = frozenset({"submitted", "lost"})
_WRITTEN = datetime(2026, 1, 1, 13, 0, tzinfo=UTC)  #: when a frozen journal was written, by its own times


async def restore_journal(frozen: Path, server: Emulator, folder: Path) -> Path:
    """Copy a frozen journal, and create its tasks and its upload in the emulator.

    Tasks that had settled when the journal was written have settled. They are created over plain HTTP, so that no
    encoder of the package takes part.
    """
    copy = folder / "journal.sqlite"
    copy.write_bytes(frozen.read_bytes())
    _replace_in_journal(copy, await _replacements(copy, server, folder))
    return copy


async def restore_batch(frozen: Path, server: Emulator, folder: Path) -> None:
    """Copy a frozen batch, which is a journal and a folder of outputs, and create its tasks in the emulator."""
    shutil.copytree(frozen, folder, dirs_exist_ok=True)
    words = await _replacements(folder / "journal.sqlite", server, folder)
    _replace_in_journal(folder / "journal.sqlite", words)
    for path in (folder / "out").iterdir():
        path.write_bytes(_in_bytes(path.read_bytes(), words))


async def _replacements(journal: Path, server: Emulator, folder: Path) -> dict[str, str]:
    """Create the tasks and uploads of a journal, and return what replaces each word of the frozen files."""
    with closing(sqlite3.connect(journal)) as db:
        tasks = list(db.execute("SELECT task_id, endpoint, state FROM jobs WHERE task_id IS NOT NULL ORDER BY rowid"))
        uploads = list(db.execute("SELECT url FROM uploads"))
    headers = {"Authorization": f"Bearer {server.api_key}", "Connection": "close"}
    async with aiohttp.ClientSession(server.url, headers=headers) as client:
        words = {url: await _upload(client) for (url,) in uploads}
        words |= {task: await _submit(client, endpoint) for task, endpoint, state in tasks if state not in _RUNNING}
        await asyncio.sleep(3600)
        words |= {task: await _submit(client, endpoint) for task, endpoint, state in tasks if state in _RUNNING}
    return words | {SITE: server.url, FOLDER: str(folder)}


async def _upload(client: aiohttp.ClientSession) -> str:
    form = aiohttp.FormData()
    form.add_field("file", IMAGE, filename="hero.png")
    async with client.post("/openapi/v2/media/upload/binary", data=form) as response:
        return str((await response.json())["data"]["download_url"])


async def _submit(client: aiohttp.ClientSession, endpoint: str) -> str:
    body = {"imageUrl": "https://example.test/hero.png", "videoUrl": VIDEO}
    async with client.post(f"/openapi/v2/{endpoint}", json=body) as response:
        return str((await response.json())["taskId"])


def _replace_in_journal(journal: Path, words: Mapping[str, str]) -> None:
    """Replace words in every text of every row, and shift every time as if the journal had just been written."""
    later = datetime.now(UTC) - _WRITTEN
    with closing(sqlite3.connect(journal)) as db:
        for table, column in _columns(db):
            for rowid, old in db.execute(f"SELECT rowid, {column} FROM {table}").fetchall():  # noqa: S608
                new = _shifted(old, later) if column.endswith("_utc") else _replaced(old, words)
                db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, rowid))  # noqa: S608
        db.commit()


def _columns(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    for table in ("jobs", "uploads"):
        for row in db.execute(f"PRAGMA table_info({table})").fetchall():
            yield table, row[1]


def _shifted(old: str | None, later: timedelta) -> str | None:
    return None if old is None else (datetime.fromisoformat(old) + later).isoformat()


def _replaced(old: object, words: Mapping[str, str]) -> object:
    if isinstance(old, str):
        return _in_bytes(old.encode(), words).decode()
    return _in_bytes(old, words) if isinstance(old, bytes) else old


def _in_bytes(old: bytes, words: Mapping[str, str]) -> bytes:
    for word, new in words.items():
        old = old.replace(word.encode(), new.encode())
    return old
