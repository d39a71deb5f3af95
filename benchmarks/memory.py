"""How much memory a job in flight takes, and whether a million requests take more than a few.

``uv run python -m benchmarks.memory [--quick]``: in virtual time, and with the transport replaced, so that only the
session's own memory is measured. The slope is what tracemalloc sees per job between 2,000 and 12,000 jobs in flight,
each with its request, and without a waiter. Then one ``map`` runs 1,000,000 requests (20,000 with ``--quick``), 500 in
flight; RSS is the peak of the process, from the moment at which 5,000 have ended.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from unittest.mock import patch

from attrs import define, field

from benchmarks._report import Row, tabulate
from benchmarks.uploads import peak_rss_mb
from rh_async import ModelRequest, PollingPolicy, Session
from rh_async._api.wire import ApiCall, ApiResponse
from rh_async._http.transport import Transport
from rh_async.emulator.http.payloads import submit_payload, task_payload, usage_payload
from tests.virtual_clock import VirtualClockLoop

T = TypeVar("T")

BYTES = {"bytes_per_job": 2048.0}
GROWTH = {"rss_growth_mb": 64.0}
_WARM = 5_000
_OUTPUT = {"url": "https://cdn.example/output.mp4", "outputType": "mp4", "nodeId": "1", "text": None}
_NO_COUNTERS = json.dumps(task_payload(code="1014")).encode()


@define
class FakeTransport:
    """Replaces the transport: it responds at once.

    :param status: of every task that is queried.
    :param at_once: whether the response to the submit has that status already.
    """

    status: str
    at_once: bool = False
    _submit_response: bytes = field(init=False)
    _query_response: bytes = field(init=False)
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1_900_000_000_000_000_000))

    def __attrs_post_init__(self) -> None:
        settled = self.status == "SUCCESS"
        answer = task_payload(
            "?", self.status, results=[_OUTPUT] if settled else None, usage=usage_payload("1.2") if settled else None
        )
        self._query_response = json.dumps(answer).encode()
        self._submit_response = (
            self._query_response if self.at_once else json.dumps(submit_payload("?", "RUNNING")).encode()
        )

    async def send(
        self,
        call: ApiCall,
        decode: Callable[[ApiResponse], T],
        *,
        on_sent: Callable[[], None] = lambda: None,
        **_: object,
    ) -> T:
        """Answer a call."""
        await asyncio.sleep(0)
        on_sent()
        return decode(ApiResponse(status=200, body=self._answer(call)))

    def _answer(self, call: ApiCall) -> bytes:
        if call.path.endswith("/query"):
            return self._query_response.replace(b"?", json.loads(call.body)["taskId"].encode())
        if call.path.endswith("/queue/status"):
            return _NO_COUNTERS
        return self._submit_response.replace(b"?", b"%d" % next(self._numbers))


@asynccontextmanager
async def session(transport: FakeTransport, in_flight: int) -> AsyncIterator[Session]:
    """Open a session on this replacement."""

    def send(_: Transport, *given: Any, **more: Any) -> Any:
        return transport.send(*given, **more)

    with patch.object(Transport, "send", send):
        polling = PollingPolicy(interval=1.0, polls_per_second=1e6)
        async with Session("f" * 32, base_url="http://127.0.0.1:9", in_flight=in_flight, polling=polling) as opened:
            yield opened


def request(number: int) -> ModelRequest:
    """Return a request as a user writes one; no two share their text."""
    link = f"https://storage.example/input/{number:08d}"
    return ModelRequest("bench/motion", {"imageUrl": f"{link}.png", "videoUrl": f"{link}.mp4", "seed": number})


async def bytes_per_job(few: int, many: int) -> float:
    """Return how many bytes each further job in flight takes, between few and many of them."""
    tracemalloc.start()
    try:
        async with session(FakeTransport("RUNNING"), many + 1) as opened:
            jobs = [opened.submit_nowait(request(number)) for number in range(few)]
            before = await _traced(jobs)
            jobs += [opened.submit_nowait(request(number)) for number in range(few, many)]
            return (await _traced(jobs) - before) / (many - few)
    finally:
        tracemalloc.stop()


async def _traced(jobs: list[Any]) -> int:
    for job in jobs:
        await job.accepted()
    await asyncio.sleep(1.5)  # each has been polled
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def map_growth(
    requests: int, gauge: Callable[[], float], *, warm: int = _WARM, in_flight: int = 500, at_once: bool = False
) -> float:
    """Return by how much a gauge rises in one map, after its first outcomes."""
    before, seen = 0.0, 0
    async with session(FakeTransport("SUCCESS", at_once), in_flight) as opened:
        async for outcome in opened.map(map(request, range(requests))):
            seen += outcome.result is not None
            if seen == warm:
                before = gauge()
        if seen != requests:
            raise SystemExit(f"{seen} of {requests} requests succeeded")
        return gauge() - before


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    logging.disable(logging.WARNING)  # a session that is closed names every job that still runs
    few, many, requests = (500, 2_500, 20_000) if quick else (2_000, 12_000, 1_000_000)
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        growth = runner.run(map_growth(requests, peak_rss_mb))
        slope = runner.run(bytes_per_job(few, many))
    rows = [
        Row(scenario=f"{few:,} to {many:,} in flight", figures={"bytes_per_job": slope}, bars=BYTES),
        Row(scenario=f"map over {requests:,}", figures={"rss_growth_mb": growth}, bars=GROWTH),
    ]
    return tabulate("memory", rows, keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
