"""Test the rate limit: both kinds of rejection, and that a rejected call has no other effect."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from rh_async.emulator import Emulator, Fault, RateLimit
from tests.emulator.conftest import Caller, Json, Serve

STATUS = "/openapi/v2/queue/status"


async def call_codes(caller: Caller, times: int) -> list[int]:
    """Send so many calls at once, and return their codes."""
    answers: list[Json] = await asyncio.gather(*(caller.get(STATUS) for _ in range(times)))
    return [answer["code"] for answer in answers]


async def test_a_burst_is_accepted_then_calls_are_accepted_as_fast_as_the_bucket_fills(serve: Serve) -> None:
    caller = await serve(rate_limit=5)
    assert Counter(await call_codes(caller, 8)) == {0: 5, 1003: 3}
    await asyncio.sleep(0.4)
    assert Counter(await call_codes(caller, 3)) == {0: 2, 1003: 1}
    await asyncio.sleep(60)  # the bucket holds no more than a burst
    assert Counter(await call_codes(caller, 8)) == {0: 5, 1003: 3}
    refused = caller.server.ledger.rate_limited_calls
    assert [call.route for call in refused] == ["queue_status"] * 7
    assert len(caller.server.ledger.calls) == 12


async def test_the_burst_can_be_set(serve: Serve) -> None:
    caller = await serve(rate_limit=RateLimit(per_second=5, burst=2))
    assert Counter(await call_codes(caller, 8)) == {0: 2, 1003: 6}


@pytest.mark.parametrize("retry_after", [None, 3])
async def test_the_rejection_can_be_http_429(serve: Serve, retry_after: float | None) -> None:
    caller = await serve(rate_limit=RateLimit(per_second=1, response="429", retry_after=retry_after))
    headers = {"Authorization": f"Bearer {caller.server.api_key}"}
    await caller.get(STATUS)
    async with caller.http.get(caller.server.url + STATUS, headers=headers) as response:
        assert response.status == 429
        assert response.headers.get("Retry-After") == (None if retry_after is None else "3")


async def test_the_rejection_with_http_200_can_have_a_retry_after_header(serve: Serve) -> None:
    caller = await serve(rate_limit=RateLimit(per_second=1, retry_after=0.5))
    headers = {"Authorization": f"Bearer {caller.server.api_key}"}
    await caller.get(STATUS)
    async with caller.http.get(caller.server.url + STATUS, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Retry-After"] == "0.5"


async def test_a_rate_limited_submit_creates_no_task_and_uses_up_no_fault(serve: Serve) -> None:
    caller = await serve(rate_limit=1)
    caller.server.faults.add(Fault("error_code", code="1005", nth=2))
    assert (await caller.submit({}, endpoint="bench/motion"))["errorCode"] == ""
    assert (await caller.submit({}, endpoint="bench/motion"))["errorCode"] == "1003"
    await asyncio.sleep(1)
    assert (await caller.submit({}, endpoint="bench/motion"))["errorCode"] == "1005"
    assert len(caller.server.ledger.tasks) == 1
    assert len(caller.server.ledger.submissions) == 2


async def test_the_rate_limit_can_be_changed_while_the_server_runs(serve: Serve) -> None:
    caller = await serve()
    assert Counter(await call_codes(caller, 8)) == {0: 8}
    caller.server.set_rate_limit(2)
    assert Counter(await call_codes(caller, 8)) == {0: 2, 1003: 6}
    caller.server.set_rate_limit(None)
    assert Counter(await call_codes(caller, 8)) == {0: 8}


async def test_the_rate_limit_can_be_set_over_http(serve: Serve) -> None:
    caller = await serve()
    endpoint = f"{caller.server.url}/_emulator/rate_limit"
    async with caller.http.put(
        endpoint, json={"per_second": 2, "response": "429"}, headers=caller.admin_headers
    ) as response:
        assert (await response.json())["rate_limit"]["per_second"] == 2
    async with caller.http.get(caller.server.url + STATUS) as first, caller.http.get(caller.server.url + STATUS):
        assert first.status == 200
    async with caller.http.get(caller.server.url + STATUS) as third:
        assert third.status == 429
    async with caller.http.get(f"{caller.server.url}/_emulator/ledger", headers=caller.admin_headers) as response:
        assert [call["route"] for call in (await response.json())["rate_limited_calls"]] == ["queue_status"]
    async with caller.http.put(endpoint, data=b"null", headers=caller.admin_headers) as response:
        assert (await response.json())["rate_limit"] is None
    assert Counter(await call_codes(caller, 8)) == {0: 8}


@pytest.mark.parametrize("bad", [{"per_second": 0}, {"per_second": 1, "burst": 0.5}, {"response": "1003"}, {"x": 1}, 7])
async def test_an_invalid_rate_limit_is_rejected_over_http(serve: Serve, bad: object) -> None:
    caller = await serve()
    endpoint = f"{caller.server.url}/_emulator/rate_limit"
    async with caller.http.put(endpoint, json=bad, headers=caller.admin_headers) as response:
        assert response.status == 400
        assert (await response.json())["error"]


def test_a_rate_of_zero_is_rejected() -> None:
    with pytest.raises(ValueError, match="per_second"):
        Emulator(rate_limit=0)
