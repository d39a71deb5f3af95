"""`Session.map`: memory is bounded, and one bad clip never stops the rest."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rh_async import DreamActor, SaveError, Session
from rh_async.emulator import Emulator
from rh_async.errors import AuthenticationFailed, BalanceExhausted, InvalidMedia, SessionError
from tests.session.conftest import Media

pytestmark = pytest.mark.quick


async def test_one_bad_clip_never_stops_the_rest(
    server: Emulator, session: Session, media: Media, tmp_path: Path
) -> None:
    clips = [*media.videos, tmp_path / "missing.mp4", media.images[0]]
    requests = [DreamActor(media.images[0], clip) for clip in clips]
    outcomes = [outcome async for outcome in session.map(requests)]
    bad = {outcome.request: outcome for outcome in outcomes if outcome.error}
    assert set(bad) == set(requests[3:])
    assert all(isinstance(outcome.error, InvalidMedia) for outcome in bad.values())
    assert all(outcome.task_id is None and outcome.result is None for outcome in bad.values())
    assert {outcome.request for outcome in outcomes} == set(requests)
    assert len(server.ledger.tasks) == 3


async def test_an_asynchronous_iterable_is_read_as_there_is_capacity(server: Emulator, media: Media) -> None:
    taken = 0

    async def requests() -> AsyncIterator[DreamActor]:
        nonlocal taken
        for n in range(100):
            taken += 1
            yield DreamActor(media.images[n % 3], media.videos[0])
            await asyncio.sleep(0)

    async with Session(server.api_key, base_url=server.url, in_flight=4) as session:
        outcomes = session.map(requests())
        async for outcome in outcomes:
            assert outcome.result
            await asyncio.sleep(3600)  # a slow reader
            assert taken <= 1 + 4 + 8  # what was read, what may be in flight, what is prepared ahead
            break
        await asyncio.sleep(3600)
        assert taken <= 1 + 4 + 8
    assert len(server.ledger.tasks) <= 1 + 4 + 8


async def test_unread_outcomes_bound_submission(server: Emulator, media: Media) -> None:
    async with Session(server.api_key, base_url=server.url, in_flight=3) as session:
        iterator = aiter(session.map(DreamActor(media.images[n % 3], media.videos[0]) for n in range(100)))
        first = await anext(iterator)
        await asyncio.sleep(7200)
        created = len(server.ledger.tasks)
        assert created == 1 + 3 + 8
        await asyncio.sleep(7200)
        assert len(server.ledger.tasks) == created
        assert first.result


async def test_leaving_the_loop_starts_nothing_more_and_detaches_what_runs(server: Emulator, media: Media) -> None:
    async with Session(server.api_key, base_url=server.url, in_flight=3) as session:
        async for outcome in session.map(DreamActor(media.images[n % 3], media.videos[0]) for n in range(100)):
            assert outcome.result
            break
        gc.collect()
        await asyncio.sleep(0)
        created = len(server.ledger.submissions)
        await asyncio.sleep(7200)
        assert len(server.ledger.submissions) == created <= 5
        assert (await session.run(DreamActor(media.images[0], media.videos[0]))).outputs


async def test_closing_ends_the_iteration(server: Emulator, session: Session, media: Media) -> None:
    outcomes = session.map([DreamActor(media.images[0], media.videos[0])])
    waiting = asyncio.create_task(_collect(outcomes))
    await asyncio.sleep(20)
    await outcomes.aclose()
    assert await waiting == []
    assert await _collect(outcomes) == []
    assert len(server.ledger.tasks) == 1


async def _collect(outcomes: object) -> list[object]:
    return [outcome async for outcome in outcomes]  # type: ignore[attr-defined]


async def test_an_error_of_the_callers_iterable_is_raised_after_the_outcomes_of_running_jobs(
    server: Emulator, session: Session, media: Media
) -> None:
    def requests() -> Iterator[DreamActor]:
        yield DreamActor(media.images[0], media.videos[0])
        yield DreamActor(media.images[1], media.videos[1])
        raise LookupError("mine")

    told = []
    with pytest.raises(LookupError, match="mine"):
        async for outcome in session.map(requests()):
            told.append(outcome.result)
    assert len(told) == len(server.ledger.tasks) == 2
    assert all(told)


async def test_an_empty_account_ends_the_iteration_after_the_outcomes_of_running_jobs(media: Media) -> None:
    told = []
    async with (
        Emulator(seed=1, balance=3.0) as server,
        Session(server.api_key, base_url=server.url, in_flight=4) as session,
    ):
        requests = (DreamActor(media.images[n % 3], media.videos[0]) for n in range(100))
        with pytest.raises(BalanceExhausted):
            async for outcome in session.map(requests):
                told.append(outcome)
    succeeded = [outcome for outcome in told if outcome.result]
    assert len(succeeded) == len(server.ledger.tasks) == 3
    assert len(server.ledger.submissions) <= 3 + 4


async def test_a_refused_key_ends_the_iteration_at_once(server: Emulator, media: Media) -> None:
    async with Session(server.keys["NORMAL"], base_url=server.url) as session:
        links = DreamActor("https://example.test/a.png", "https://example.test/b.mp4")
        with pytest.raises(AuthenticationFailed, match="enterprise-shared"):
            async for outcome in session.map([links] * 200):
                assert outcome.error
    assert server.ledger.tasks == []
    assert len(server.ledger.submissions) <= 58


async def test_a_result_that_cannot_be_saved_has_an_outcome_with_its_error(
    server: Emulator, session: Session, media: Media, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    requests = [DreamActor(media.images[0], media.videos[0])]
    outcomes = [outcome async for outcome in session.map(requests, output_dir=tmp_path / "file")]
    assert isinstance(outcomes[0].error, SaveError)
    assert outcomes[0].result is not None
    assert outcomes[0].task_id == server.ledger.tasks[0].task_id


async def test_closing_the_session_inside_the_loop_ends_the_iteration_with_an_error(
    server: Emulator, media: Media
) -> None:
    async with Session(server.api_key, base_url=server.url, in_flight=2) as session:
        iterator = aiter(session.map(DreamActor(media.images[n % 3], media.videos[0]) for n in range(50)))
        assert (await anext(iterator)).result
    with pytest.raises(SessionError, match=r"session (has )?ended"):
        async for outcome in iterator:
            assert outcome.error
    assert len(server.ledger.tasks) <= 4
