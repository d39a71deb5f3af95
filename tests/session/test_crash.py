"""A crash anywhere inside a session ends every wait at once, with its cause; also in a callback of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from rh_async import ModelRequest, PollingPolicy, RHError, Session, Timeouts
from rh_async._job_updates import call_when_done
from rh_async._polling.scheduler import PollScheduler
from rh_async._runtime.session_calls import SessionCalls
from rh_async.emulator import Emulator, Fault
from rh_async.errors import SessionError

MODEL = "bench/motion"
POLLING = PollingPolicy(interval=0.2, max_interval=0.5, polls_per_second=100)


@pytest.fixture
async def server() -> AsyncIterator[Emulator]:
    async with Emulator(seed=1, run_time=3.0) as server:
        yield server


def request(seed: int = 0) -> ModelRequest:
    return ModelRequest(MODEL, {"seed": seed})


def broken(*_: object, **__: object) -> Any:
    raise ZeroDivisionError("a bug")


async def broken_later(*_: object) -> Any:
    raise ZeroDivisionError("a bug")


async def ended(wait: Awaitable[object]) -> RHError:
    """Return the error that a wait ends with at once."""
    with pytest.raises(SessionError) as caught:
        async with asyncio.timeout(1):
            await wait
    return caught.value


@pytest.mark.parametrize(
    ("place", "bug"),
    [
        ("rh_async._polling.scheduler.PollScheduler.next_poll", broken),
        ("rh_async._polling.scheduler.PollScheduler.next_poll_at", broken),
        ("rh_async._polling.poller.Poller._next_poll", broken_later),
    ],
)
async def test_every_wait_ends_at_once_and_names_the_cause(
    place: str, bug: Callable[..., Any], server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SessionError) as closing:
        timeouts = Timeouts(connect=1.0, read=2.0)
        async with Session(
            server.api_key, base_url=server.url, polling=POLLING, in_flight=4, timeouts=timeouts
        ) as session:
            jobs = [await session.submit(request(seed)) for seed in range(3)]
            server.faults.add(Fault("hang", route="submit"))
            sent = session.submit_nowait(request(3))  # its POST is being finished for a minute
            waits = session.submit_nowait(request(4))  # for a place
            mapped = session.map(request(seed) for seed in range(5, 50))
            reading = asyncio.ensure_future(_read(mapped))
            await asyncio.sleep(0.5)
            monkeypatch.setattr(place, bug)
            crash = asyncio.Event()
            call_when_done(jobs[0], lambda _: crash.set())
            await crash.wait()
            errors = [await ended(job) for job in (*jobs, sent, waits)]
            errors += [await ended(session.get_status(jobs[0].task_id or "")), await ended(session.account())]
            errors.append(await ended(reading))
    assert {type(error.__cause__) for error in (*errors, closing.value)} == {ZeroDivisionError}
    assert [error.maybe_billed for error in errors[:5]] == [True, True, True, True, False]


async def _read(outcomes: Any) -> None:
    async for outcome in outcomes:
        if outcome.error is not None:
            assert isinstance(outcome.error.__cause__, ZeroDivisionError)


async def test_a_job_whose_outcome_cannot_be_made_ends_with_that_error(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rh_async._runtime.settlement.outcome_of", broken)
    async with Session(server.api_key, base_url=server.url, polling=POLLING) as session:
        job = await session.submit(request())
        with pytest.raises(RHError) as caught:
            async with asyncio.timeout(60):
                await job
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.task_id == job.task_id


async def test_a_wait_for_a_call_that_meets_a_bug_ends_at_once(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SessionCalls, "get_status", broken_later)
    async with Session(server.api_key, base_url=server.url, polling=POLLING) as session:
        with pytest.raises(RHError) as caught:
            async with asyncio.timeout(1):
                await session.get_status("12")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_a_services_task_that_is_cancelled_from_outside_ends_every_wait(server: Emulator) -> None:
    with pytest.raises(SessionError, match="cancelled from outside"):
        async with Session(server.api_key, base_url=server.url, polling=POLLING) as session:
            job = await session.submit(request())
            session._lifetime.runtime._host.cancel()  # type: ignore[union-attr]
            assert "cancelled from outside" in str(await ended(job))


async def test_a_job_can_be_submitted_attached_and_withdrawn_in_a_callback_of_the_loop(server: Emulator) -> None:
    loop = asyncio.get_running_loop()
    async with Session(server.api_key, base_url=server.url, polling=POLLING, in_flight=1) as session:
        done: asyncio.Future[list[Any]] = loop.create_future()
        first = await session.submit(request())

        def start() -> None:
            assert asyncio.current_task() is None
            try:
                job, other = session.submit_nowait(request(1)), session.submit_nowait(request(2))
                session._lifetime.runtime.services.submissions.withdraw(other)  # type: ignore[union-attr]
                watched = session.attach(first.task_id or "")
                done.set_result([job, other, watched, watched.eta, session.statistics().waiting])
            except BaseException as error:  # noqa: BLE001 - the test is told
                done.set_exception(error)

        loop.call_soon(start)
        job, other, watched, _, _ = await done
        assert watched is first
        with pytest.raises(RHError, match="withdrawn"):
            await other
        await job
    assert len(server.ledger.tasks) == 2


async def test_closing_a_session_that_waits_for_its_jobs_ends_when_it_crashes(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(SessionError) as caught:
        async with Session(server.api_key, base_url=server.url, polling=POLLING, on_exit="drain") as session:
            await session.submit(request())
            loop.call_later(0.5, lambda: monkeypatch.setattr(PollScheduler, "next_poll", broken))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert loop.time() - began < 3
