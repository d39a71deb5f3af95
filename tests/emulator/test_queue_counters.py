"""Test the queue counters: correct, frozen, random or missing ones, and tasks of another program in them."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import get_args

import pytest

from rh_async.emulator import BackgroundLoad, Emulator, Fault, RouteName
from tests.emulator.conftest import Caller, Json, Serve

STATUS = "/openapi/v2/queue/status"
MODEL = "bench/motion"


async def read_counters(caller: Caller) -> tuple[int, int, int]:
    """Return the counters: running, queued, and the total."""
    data: Json = (await caller.get(STATUS))["data"]
    return int(data["runningCount"]), int(data["queuedCount"]), int(data["totalCurrentTasks"])


async def submit(caller: Caller) -> str:
    """Submit, and return the error code."""
    return str((await caller.submit({}, endpoint=MODEL))["errorCode"])


async def test_a_limit_can_be_changed_while_the_server_runs(serve: Serve) -> None:
    caller = await serve(limit=3, run_time=60.0)
    assert [await submit(caller) for _ in range(4)] == ["", "", "", "421"]
    caller.server.limit = 4
    assert [await submit(caller) for _ in range(2)] == ["", "421"]
    caller.server.limit = 2
    assert (await caller.get(STATUS))["data"]["concurrentLimit"] == 2
    assert await read_counters(caller) == (4, 0, 4)  # running tasks are not cancelled
    await asyncio.sleep(60)
    assert [await submit(caller) for _ in range(3)] == ["", "", "421"]


async def test_queued_tasks_start_when_the_limit_is_raised(serve: Serve) -> None:
    caller = await serve(limit=1, queue=True, run_time=60.0)
    for _ in range(3):
        await submit(caller)
    assert await read_counters(caller) == (1, 2, 3)
    caller.server.limit = 2
    assert await read_counters(caller) == (2, 1, 3)


async def test_frozen_counters_stay_as_they_were_when_the_fault_was_first_applied(serve: Serve) -> None:
    caller = await serve(run_time=60.0)
    await submit(caller)
    caller.server.faults.add(Fault("frozen_counters", times=None))
    await submit(caller)
    assert await read_counters(caller) == (2, 0, 2)
    await submit(caller)
    await asyncio.sleep(100)
    assert await read_counters(caller) == (2, 0, 2)
    caller.server.faults.clear()
    assert await read_counters(caller) == (0, 0, 0)


async def test_a_new_frozen_counters_fault_freezes_the_present_counters(serve: Serve) -> None:
    caller = await serve(run_time=60.0)
    for expected in (1, 2):
        await submit(caller)
        caller.server.faults.add(Fault("frozen_counters", times=None))
        assert await read_counters(caller) == (expected, 0, expected)
        caller.server.faults.clear()


async def test_random_counters_change_with_each_response_and_stay_within_the_limit(serve: Serve) -> None:
    caller = await serve(seed=5, limit=7)
    caller.server.faults.add(Fault("random_counters", times=None))
    readings = [await read_counters(caller) for _ in range(200)]
    assert {running for running, _, _ in readings} == set(range(8)) == {queued for _, queued, _ in readings}
    assert all(total == running + queued for running, queued, total in readings)


async def test_random_counters_come_from_the_seed(serve: Serve) -> None:
    readings = []
    for _ in range(2):
        caller = await serve(seed=5)
        caller.server.faults.add(Fault("random_counters", times=None))
        readings.append([await read_counters(caller) for _ in range(20)])
    assert readings[0] == readings[1]


@pytest.mark.parametrize("kind", ["frozen_counters", "random_counters"])
async def test_a_counter_fault_does_not_hide_that_the_key_is_rejected(caller: Caller, kind: str) -> None:
    caller.server.faults.add(Fault(kind, times=None))  # type: ignore[arg-type]
    assert await caller.get(STATUS, key="wrong") == {"code": 806, "msg": "APIKEY_USER_NOT_FOUND", "data": None}


@pytest.mark.parametrize("route", sorted(set(get_args(RouteName)) - {"queue_status"}))
def test_counter_faults_apply_only_to_queue_status(route: RouteName) -> None:
    with pytest.raises(ValueError, match="does not apply to"):
        Fault("random_counters", route=route)


async def test_queue_status_can_return_an_error_every_time(caller: Caller) -> None:
    caller.server.faults.add(Fault("error_code", route="queue_status", code="1014", times=None))
    answers = [await caller.get(STATUS) for _ in range(30)]
    assert {(answer["code"], answer["data"]) for answer in answers} == {(1014, None)}
    assert len(caller.server.ledger.calls) == 30  # the ledger has them nevertheless


async def test_background_tasks_use_slots_and_are_counted_but_are_not_in_the_ledger(serve: Serve) -> None:
    caller = await serve(limit=12, background_load=BackgroundLoad(count=10, run_time=1000.0))
    assert await read_counters(caller) == (10, 0, 10)
    assert [await submit(caller) for _ in range(3)] == ["", "", "421"]
    assert len(caller.server.ledger.tasks) == 2


async def test_background_tasks_start_and_settle_and_their_number_stays_about_the_same(serve: Serve) -> None:
    caller = await serve(
        limit=100, background_load=BackgroundLoad(count=50, run_time=lambda _, rng: rng.uniform(60, 180))
    )
    readings = []
    for _ in range(600):
        await asyncio.sleep(1)
        readings.append((await read_counters(caller))[0])
    assert max(readings) == 50
    assert 47 <= sum(readings) / len(readings) < 50  # 120 s of work, 2.5 s of pause
    assert sum(now < before for before, now in pairwise(readings)) > 50


async def test_background_tasks_do_not_depend_on_how_often_the_counters_are_read(serve: Serve) -> None:
    readings = []
    for reads in (1, 300):
        caller = await serve(seed=3, background_load=BackgroundLoad(count=20, run_time=30.0))
        began = asyncio.get_running_loop().time()
        for _ in range(reads):
            await asyncio.sleep(300 / reads)
            await read_counters(caller)
        assert asyncio.get_running_loop().time() - began == pytest.approx(300)
        readings.append(await read_counters(caller))
    assert readings[0] == readings[1]


async def test_background_tasks_are_rejected_at_the_limit_and_try_again(serve: Serve) -> None:
    caller = await serve(limit=10, background_load=BackgroundLoad(count=10, run_time=30.0))
    caller.server.limit = 4
    await asyncio.sleep(100)
    assert await read_counters(caller) == (4, 0, 4)
    caller.server.limit = 20
    await asyncio.sleep(100)
    assert 7 <= (await read_counters(caller))[0] <= 10


async def test_background_tasks_begin_when_the_server_starts_whatever_the_clock_shows() -> None:
    await asyncio.sleep(1e6)
    async with Emulator(background_load=BackgroundLoad(count=10, run_time=60.0)) as server:
        assert server._background_tasks.next_event_at > 1e6
        assert server._background_tasks.running == 10


@pytest.mark.parametrize("wrong", [{"count": -1}, {"max_pause": 0.0}])
def test_a_background_load_with_invalid_values_is_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        BackgroundLoad(**wrong)  # type: ignore[arg-type]
