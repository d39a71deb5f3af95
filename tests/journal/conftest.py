"""A server, media and a place for a journal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rh_async._journal.sqlite import SqliteStore
from rh_async._journal.submission_journal import SubmissionJournal
from tests.journal.journals import SITE, Opened, Wall, close_all
from tests.session.conftest import media, server

__all__ = ["media", "server"]


@pytest.fixture
def journal_path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "journal.db"


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def opened(journal_path: Path, wall: Wall) -> AsyncIterator[Opened]:
    """Opens journals on one file, and closes them all."""
    journals: list[SubmissionJournal] = []

    async def open_one(api_key: str = "k" * 32, site: str = SITE) -> SubmissionJournal:
        journal = SubmissionJournal(store=SqliteStore(journal_path, site), wall=wall)
        await journal.open(api_key)
        journals.append(journal)
        return journal

    yield open_one
    await close_all(journals)
