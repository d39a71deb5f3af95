"""Fixtures for tests on uvloop, whose clock cannot be virtual: everything is small and fast here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rh_async import PollingPolicy, Session
from rh_async.emulator import Emulator
from tests.journal.conftest import journal_path
from tests.session.conftest import media

__all__ = ["journal_path", "media"]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on uvloop."""
    uvloop = pytest.importorskip("uvloop")
    return "asyncio", {"loop_factory": uvloop.new_event_loop}


@pytest.fixture
async def server() -> AsyncIterator[Emulator]:
    async with Emulator(seed=1, run_time=3.0) as server:
        yield server


@pytest.fixture
async def session(server: Emulator) -> AsyncIterator[Session]:
    async with Session(
        server.api_key, base_url=server.url, polling=PollingPolicy(interval=0.1, max_interval=0.3)
    ) as session:
        yield session
