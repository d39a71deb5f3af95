"""What a job in flight costs in memory and what a long map leaves behind, counted: neither time nor RSS decides."""

from __future__ import annotations

import gc

import pytest
from blockbuster import BlockBuster

from benchmarks.memory import BYTES, FakeTransport, bytes_per_job, map_growth, session
from benchmarks.memory import request as make_request


@pytest.fixture(autouse=True)
def blocking_calls_are_not_checked(nothing_blocks_the_loop: BlockBuster) -> None:
    """Turn the check for blocking calls off: its cost per call would be most of the time here."""
    nothing_blocks_the_loop.deactivate()


def _objects() -> float:
    gc.collect()
    return float(len(gc.get_objects()))


async def test_a_job_in_flight_takes_no_more_than_two_kilobytes_with_its_request() -> None:
    assert 100.0 < await bytes_per_job(500, 1_500) <= BYTES["bytes_per_job"]


async def test_a_map_over_twenty_thousand_requests_leaves_nothing_of_them_behind() -> None:
    assert await map_growth(20_000, _objects, warm=1_000, at_once=True) < 1_000.0


async def test_a_map_whose_jobs_are_polled_leaves_nothing_of_them_behind() -> None:
    assert await map_growth(3_000, _objects, warm=1_000) < 500.0


async def test_the_count_notices_outcomes_that_are_kept() -> None:
    outcomes = []
    async with session(FakeTransport("SUCCESS"), 50) as opened:
        before = _objects()
        async for outcome in opened.map(map(make_request, range(500))):
            outcomes.append(outcome)
        assert _objects() - before > len(outcomes) == 500
