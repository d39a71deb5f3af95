"""What a job in flight costs and what a long map leaves behind, as counts: no time and no RSS is asserted here."""

from __future__ import annotations

import gc

import pytest
from blockbuster import BlockBuster

from benchmarks.memory import BYTES, Wires, bytes_per_job, map_growth, session
from benchmarks.memory import request as a_request


@pytest.fixture(autouse=True)
def the_guard_off_duty(nothing_blocks_the_loop: BlockBuster) -> None:
    """What blocks the loop is other tests' business; here its cost per call would be most of the time."""
    nothing_blocks_the_loop.deactivate()


def _objects() -> float:
    gc.collect()
    return float(len(gc.get_objects()))


async def test_a_job_in_flight_takes_no_more_than_two_kilobytes_with_its_request() -> None:
    assert 100.0 < await bytes_per_job(500, 1_500) <= BYTES["bytes_per_job"]


async def test_a_map_over_twenty_thousand_requests_leaves_nothing_of_them_behind() -> None:
    assert await map_growth(20_000, _objects, warm=1_000, at_once=True) < 1_000.0


async def test_a_map_whose_jobs_are_asked_about_leaves_nothing_of_them_behind() -> None:
    assert await map_growth(3_000, _objects, warm=1_000) < 500.0


async def test_the_count_would_see_what_is_kept() -> None:
    kept = []
    async with session(Wires("SUCCESS"), 50) as opened:
        before = _objects()
        async for outcome in opened.map(map(a_request, range(500))):
            kept.append(outcome)
        assert _objects() - before > len(kept) == 500
