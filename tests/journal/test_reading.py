"""What a session tells of its journal: one key, or every attempt, read as it is asked for; no request is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rh_async import ModelRequest, Session
from rh_async.emulator import Emulator, Fault
from rh_async.errors import InvalidRequestError, JobFailed, SessionError
from rh_async.journal import SubmissionState

Open = Callable[[], Session]


@pytest.fixture
def open_session(server: Emulator, journal_path: Path) -> Open:
    return lambda: Session(server.api_key, base_url=server.url, journal=journal_path)


async def keys(session: Session, **which: Any) -> list[str]:
    return [record.key async for record in session.jobs(**which)]


async def test_a_key_is_found_with_its_last_attempt(open_session: Open, server: Emulator) -> None:
    server.faults.add(Fault("moderation"))
    async with open_session() as session:
        with pytest.raises(JobFailed):
            await session.run(ModelRequest("own/model", {}), idempotency_key="clip")
        result = await session.run(ModelRequest("own/model", {}), idempotency_key="clip", resubmit=True)
        asked = len(server.ledger.calls)
        record = await session.find("clip")
        assert record is not None
        assert (record.state, record.attempt, record.task_id) == (SubmissionState.SETTLED, 2, result.task_id)
        assert await session.find("unknown") is None
        assert len(server.ledger.calls) == asked


async def test_jobs_are_listed_in_order_by_state_and_by_the_beginning_of_their_key(
    open_session: Open, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rh_async._journal.sqlite._PAGE", 3)
    async with open_session() as session:
        for number in range(10):
            await session.submit(
                ModelRequest("own/model", {"seed": number}), idempotency_key=f"{'ab'[number % 2]}_%{number}"
            )
        await session.run(ModelRequest("own/model", {"seed": 0}), idempotency_key="a_%0")
        everything = await keys(session)
        assert everything == [f"{'ab'[number % 2]}_%{number}" for number in range(10)]
        assert await keys(session, prefix="b_%") == everything[1::2]
        running, over = await keys(session, state="submitted"), await keys(session, state=SubmissionState.SETTLED)
        assert "a_%0" in over
        assert sorted(running + over) == sorted(everything)
        assert await keys(session, prefix="b_%", state=[SubmissionState.SETTLED, "submitted"]) == everything[1::2]
        assert await keys(session, prefix="%") == []
        assert await keys(session, state=SubmissionState.UNCERTAIN) == await keys(session, state=()) == []
        wrong: Any
        for wrong in ("gone", 7, [None]):
            with pytest.raises(InvalidRequestError, match="claimed"):
                session.jobs(state=wrong)
    assert len(server.ledger.submissions) == 10


async def test_without_a_journal_there_is_nothing_to_find(server: Emulator) -> None:
    async with Session(server.api_key, base_url=server.url) as session:
        with pytest.raises(SessionError, match="no journal"):
            await session.find("clip")
        with pytest.raises(SessionError, match="no journal"):
            session.jobs()
