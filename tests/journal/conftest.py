"""A server, media and a place for a journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.session.conftest import media, server

__all__ = ["media", "server"]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "journal.db"
