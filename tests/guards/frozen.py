"""Put a frozen journal before an emulator of today: its address, its folder, its time, and tasks that it knows."""

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


async def thaw(frozen: Path, server: Emulator, folder: Path) -> Path:
    """Copy a frozen journal, and let the emulator know its tasks and its upload: those that ended there have ended.

    Everything is made over HTTP, as by a client that wrote the journal with this server; no code of ours takes part.
    """
    copy = folder / "journal.sqlite"
    copy.write_bytes(frozen.read_bytes())
    _reword(copy, await _words(copy, server, folder))
    return copy


async def thaw_batch(frozen: Path, server: Emulator, folder: Path) -> None:
    """Copy a frozen batch, which is a journal and a folder of outputs, likewise."""
    shutil.copytree(frozen, folder, dirs_exist_ok=True)
    words = await _words(folder / "journal.sqlite", server, folder)
    _reword(folder / "journal.sqlite", words)
    for path in (folder / "out").iterdir():
        path.write_bytes(_in_bytes(path.read_bytes(), words))


async def _words(journal: Path, server: Emulator, folder: Path) -> dict[str, str]:
    """What takes the place of which word of the frozen files; the longer first."""
    with closing(sqlite3.connect(journal)) as db:
        tasks = list(db.execute("SELECT task_id, endpoint, state FROM jobs WHERE task_id IS NOT NULL ORDER BY rowid"))
        uploads = list(db.execute("SELECT url FROM uploads"))
    headers = {"Authorization": f"Bearer {server.api_key}", "Connection": "close"}
    async with aiohttp.ClientSession(server.url, headers=headers) as client:
        words = {url: await _uploaded(client) for (url,) in uploads}
        words |= {task: await _bought(client, endpoint) for task, endpoint, state in tasks if state not in _RUNNING}
        await asyncio.sleep(3600)
        words |= {task: await _bought(client, endpoint) for task, endpoint, state in tasks if state in _RUNNING}
    return words | {SITE: server.url, FOLDER: str(folder)}


async def _uploaded(client: aiohttp.ClientSession) -> str:
    form = aiohttp.FormData()
    form.add_field("file", IMAGE, filename="hero.png")
    async with client.post("/openapi/v2/media/upload/binary", data=form) as response:
        return str((await response.json())["data"]["download_url"])


async def _bought(client: aiohttp.ClientSession, endpoint: str) -> str:
    body = {"imageUrl": "https://example.test/hero.png", "videoUrl": VIDEO}
    async with client.post(f"/openapi/v2/{endpoint}", json=body) as response:
        return str((await response.json())["taskId"])


def _reword(journal: Path, words: Mapping[str, str]) -> None:
    """Replace words in every text of every row, and move every time as if the journal had just been written."""
    later = datetime.now(UTC) - _WRITTEN
    with closing(sqlite3.connect(journal)) as db:
        for table, column in _columns(db):
            for rowid, old in db.execute(f"SELECT rowid, {column} FROM {table}").fetchall():  # noqa: S608
                new = _moved(old, later) if column.endswith("_utc") else _reworded(old, words)
                db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, rowid))  # noqa: S608
        db.commit()


def _columns(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    for table in ("jobs", "uploads"):
        for row in db.execute(f"PRAGMA table_info({table})").fetchall():
            yield table, row[1]


def _moved(old: str | None, later: timedelta) -> str | None:
    return None if old is None else (datetime.fromisoformat(old) + later).isoformat()


def _reworded(old: object, words: Mapping[str, str]) -> object:
    if isinstance(old, str):
        return _in_bytes(old.encode(), words).decode()
    return _in_bytes(old, words) if isinstance(old, bytes) else old


def _in_bytes(old: bytes, words: Mapping[str, str]) -> bytes:
    for word, new in words.items():
        old = old.replace(word.encode(), new.encode())
    return old
