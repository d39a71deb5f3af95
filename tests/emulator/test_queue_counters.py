"""What queue/status tells: the truth as of now, an old truth, anything at all, or nothing; and strangers in it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import get_args

import pytest

from rh_async.emulator import BackgroundLoad, Emulator, Fault, RouteName
from tests.emulator.conftest import Caller, Json, Serve

STATUS = "/openapi/v2/queue/status"
MODEL = "bench/motion"


async def counts(caller: Caller) -> tuple[int, int, int]:
    """How many run and wait, and the sum as the server tells it."""
    data: Json = (await caller.get(STATUS))["data"]
    return int(data["runningCount"]), int(data["queuedCount"]), int(data["totalCurrentTasks"])


async def submit(caller: Caller) -> str:
    """The code that a submit is answered with."""
    return str((await caller.submit({}, endpoint=MODEL))["errorCode"])


async def test_a_limit_set_while_the_server_runs_holds_from_then_on(serve: Serve) -> None:
    caller = await serve(limit=3, run_time=60.0)
    assert [await submit(caller) for _ in range(4)] == ["", "", "", "421"]
    caller.server.limit = 4
    assert [await submit(caller) for _ in range(2)] == ["", "421"]
    caller.server.limit = 2
    assert (await caller.get(STATUS))["data"]["concurrentLimit"] == 2
    assert await counts(caller) == (4, 0, 4)  # what runs, runs on
    await asyncio.sleep(60)
    assert [await submit(caller) for _ in range(3)] == ["", "", "421"]


async def test_a_personal_queue_moves_up_when_the_limit_rises(serve: Serve) -> None:
    caller = await serve(limit=1, queue=True, run_time=60.0)
    for _ in range(3):
        await submit(caller)
    assert await counts(caller) == (1, 2, 3)
    caller.server.limit = 2
    assert await counts(caller) == (2, 1, 3)


async def test_frozen_counts_stay_as_they_were_when_the_fault_first_struck(serve: Serve) -> None:
    caller = await serve(run_time=60.0)
    await submit(caller)
    caller.server.faults.add(Fault("frozen_counters", times=None))
    await submit(caller)
    assert await counts(caller) == (2, 0, 2)
    await submit(caller)
    await asyncio.sleep(100)
    assert await counts(caller) == (2, 0, 2)
    caller.server.faults.clear()
    assert await counts(caller) == (0, 0, 0)


async def test_frozen_counts_added_anew_are_those_of_now(serve: Serve) -> None:
    caller = await serve(run_time=60.0)
    for expected in (1, 2):
        await submit(caller)
        caller.server.faults.add(Fault("frozen_counters", times=None))
        assert await counts(caller) == (expected, 0, expected)
        caller.server.faults.clear()


async def test_random_counts_differ_at_each_answer_and_stay_within_the_limit(serve: Serve) -> None:
    caller = await serve(seed=5, limit=7)
    caller.server.faults.add(Fault("random_counters", times=None))
    told = [await counts(caller) for _ in range(200)]
    assert {running for running, _, _ in told} == set(range(8)) == {queued for _, queued, _ in told}
    assert all(total == running + queued for running, queued, total in told)


async def test_random_counts_come_from_the_seed(serve: Serve) -> None:
    told = []
    for _ in range(2):
        caller = await serve(seed=5)
        caller.server.faults.add(Fault("random_counters", times=None))
        told.append([await counts(caller) for _ in range(20)])
    assert told[0] == told[1]


@pytest.mark.parametrize("kind", ["frozen_counters", "random_counters"])
async def test_a_lie_does_not_hide_that_the_key_is_refused(caller: Caller, kind: str) -> None:
    caller.server.faults.add(Fault(kind, times=None))  # type: ignore[arg-type]
    assert await caller.get(STATUS, key="wrong") == {"code": 806, "msg": "APIKEY_USER_NOT_FOUND", "data": None}


@pytest.mark.parametrize("route", sorted(set(get_args(RouteName)) - {"queue_status"}))
def test_only_the_counts_can_lie(route: RouteName) -> None:
    with pytest.raises(ValueError, match="does not apply to"):
        Fault("random_counters", route=route)


async def test_the_counts_can_be_kept_from_a_caller_for_good(caller: Caller) -> None:
    caller.server.faults.add(Fault("error_code", route="queue_status", code="1014", times=None))
    answers = [await caller.get(STATUS) for _ in range(30)]
    assert {(answer["code"], answer["data"]) for answer in answers} == {(1014, None)}
    assert len(caller.server.ledger.calls) == 30  # which were asked all the same


async def test_strangers_are_counted_and_take_places_but_are_in_no_ledger(serve: Serve) -> None:
    caller = await serve(limit=12, background_load=BackgroundLoad(count=10, run_time=1000.0))
    assert await counts(caller) == (10, 0, 10)
    assert [await submit(caller) for _ in range(3)] == ["", "", "421"]
    assert len(caller.server.ledger.tasks) == 2


async def test_strangers_come_and_go_but_keep_about_as_many_in_flight(serve: Serve) -> None:
    caller = await serve(
        limit=100, background_load=BackgroundLoad(count=50, run_time=lambda _, rng: rng.uniform(60, 180))
    )
    told = []
    for _ in range(600):
        await asyncio.sleep(1)
        told.append((await counts(caller))[0])
    assert max(told) == 50
    assert 47 <= sum(told) / len(told) < 50  # 120 s of work, 2.5 s of pause
    assert sum(now < before for before, now in pairwise(told)) > 50


async def test_strangers_are_the_same_whether_or_not_anybody_looks_meanwhile(serve: Serve) -> None:
    told = []
    for looks in (1, 300):
        caller = await serve(seed=3, background_load=BackgroundLoad(count=20, run_time=30.0))
        began = asyncio.get_running_loop().time()
        for _ in range(looks):
            await asyncio.sleep(300 / looks)
            await counts(caller)
        assert asyncio.get_running_loop().time() - began == pytest.approx(300)
        told.append(await counts(caller))
    assert told[0] == told[1]


async def test_strangers_are_refused_too_and_try_again(serve: Serve) -> None:
    caller = await serve(limit=10, background_load=BackgroundLoad(count=10, run_time=30.0))
    caller.server.limit = 4
    await asyncio.sleep(100)
    assert await counts(caller) == (4, 0, 4)
    caller.server.limit = 20
    await asyncio.sleep(100)
    assert 7 <= (await counts(caller))[0] <= 10


async def test_strangers_who_start_late_on_the_clock_have_no_past_to_make_up_for() -> None:
    await asyncio.sleep(1e6)
    async with Emulator(background_load=BackgroundLoad(count=10, run_time=60.0)) as server:
        assert server._background_tasks.next_event_at > 1e6
        assert server._background_tasks.running == 10


@pytest.mark.parametrize("wrong", [{"count": -1}, {"max_pause": 0.0}])
def test_strangers_who_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        BackgroundLoad(**wrong)  # type: ignore[arg-type]
