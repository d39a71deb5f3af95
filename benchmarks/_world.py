"""Runs one client against one emulator in virtual time; the ledger gives exact, repeatable figures.

The network takes no time here: latency is due to the client's own schedule.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
from attrs import field, frozen

from rh_async import ModelRequest, Session
from rh_async.emulator import CallRecord, Emulator, Fault, RateLimitedCallRecord, SubmitRecord, TaskRecord
from tests.virtual_clock import VirtualClockLoop

ENDPOINT = "bench/motion"
MISSING = Fault("error_code", route="queue_status", code="1014", times=None)  #: the queue counters can never be read
_EVERY = 5.0  #: seconds, the vendor's own interval


@frozen
class LogNormal:
    """Run times as those of video jobs: a median in seconds, and the spread of their logarithm."""

    median: float
    sigma: float

    def __call__(self, _endpoint: str, rng: Random) -> float:
        return rng.lognormvariate(math.log(self.median), self.sigma)


@frozen
class Mixed:
    """Run times of several kinds, each as likely."""

    kinds: tuple[LogNormal, ...]

    def __call__(self, endpoint: str, rng: Random) -> float:
        return rng.choice(self.kinds)(endpoint, rng)


USUAL = LogNormal(180.0, 0.4)


@frozen(kw_only=True)
class World:
    """The account and the jobs that a client is given.

    :param jobs: how many it is given, all at once.
    :param in_flight: how many it may keep in flight; None leaves that to it.
    :param limits: how many jobs the account allows, from which second on; the first holds at once.
    :param faults: and from which second on they occur.
    :param seed: decides every run time, in the order of creation.
    :param more: further options of the emulator.
    """

    jobs: int
    in_flight: int | None = 50
    run_time: Callable[[str, Random], float] = USUAL
    limits: tuple[tuple[float, int], ...] = ((0.0, 50),)
    faults: tuple[tuple[float, Fault], ...] = ()
    seed: int = 1
    more: Mapping[str, Any] = field(factory=dict)

    def emulator(self) -> Emulator:
        """Return the server."""
        return Emulator(seed=self.seed, limit=self.limits[0][1], run_time=self.run_time, **self.more)

    def schedule_changes(self, server: Emulator) -> None:
        """Schedule the changes of the limit and the faults."""
        loop = asyncio.get_running_loop()
        for at, limit in self.limits[1:]:
            loop.call_later(at, setattr, server, "limit", limit)
        for at, fault in self.faults:
            loop.call_later(at, server.faults.add, fault) if at else server.faults.add(fault)


@frozen(kw_only=True)
class History:
    """What the server saw.

    :param began: when the client started, on the server's clock.
    :param failed: how many jobs the client could not finish.
    """

    began: float
    failed: int
    tasks: list[TaskRecord]
    submissions: list[SubmitRecord]
    calls: list[CallRecord]
    rate_limited_calls: list[RateLimitedCallRecord]

    def occupied(self, start: float, end: float) -> float:
        """Return how many slots were taken between two instants, on average."""
        held = (min(end, settled_at(task)) - max(start, task.created_at) for task in self.tasks)
        return sum(max(0.0, seconds) for seconds in held) / (end - start)


Client = Callable[[Emulator, World], Awaitable[int]]


def settled_at(task: TaskRecord) -> float:
    """Return when a task settled; all of them have."""
    if task.settles_at is None:
        raise ValueError(f"{task.task_id} is still queued")
    return task.settles_at


def play(world: World, client: Client) -> History:
    """Run a client in a world."""
    logging.disable(logging.WARNING)  # in some worlds most requests are refused
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(_played(world, client))


def play_all(runs: Iterable[tuple[World, Client]]) -> list[History]:
    """Run several at once; their clocks are virtual, so that they do not disturb each other's figures."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(play, *zip(*runs, strict=True)))


async def _played(world: World, client: Client) -> History:
    async with world.emulator() as server:
        began = asyncio.get_running_loop().time()
        world.schedule_changes(server)
        failed = await client(server, world)
        return History(
            began=began,
            failed=failed,
            tasks=server.ledger.tasks,
            submissions=server.ledger.submissions,
            calls=server.ledger.calls,
            rate_limited_calls=server.ledger.rate_limited_calls,
        )


async def ours(server: Emulator, world: World, *, endpoint: str = ENDPOINT) -> int:
    """Run the jobs in a session with its defaults."""
    options: dict[str, Any] = {} if world.in_flight is None else {"in_flight": world.in_flight}
    async with Session(server.api_key, base_url=server.url, **options) as session:
        return sum([outcome.error is not None async for outcome in session.map(_requests(endpoint, world.jobs))])


async def trained(server: Emulator, world: World) -> int:
    """Run the jobs in a session that knows the run times of a hundred earlier ones, as if from its journal."""
    async with Session(server.api_key, base_url=server.url, in_flight=world.in_flight or 50) as session:
        chance = Random(world.seed)
        for _ in range(100):
            session._lifetime.runtime.services.poller.scheduler.learn(ENDPOINT, USUAL(ENDPOINT, chance))  # type: ignore[union-attr] # noqa: SLF001
        return sum([outcome.error is not None async for outcome in session.map(_requests(ENDPOINT, world.jobs))])


def _requests(endpoint: str, jobs: int) -> Iterator[ModelRequest]:
    return (ModelRequest(endpoint, {"seed": number}) for number in range(jobs))


async def fixed(server: Emulator, world: World) -> int:
    """Run a task per job and poll every five seconds, as the vendor's client does."""
    slots = asyncio.Semaphore(world.in_flight or 50)
    async with _http(server) as http, asyncio.TaskGroup() as jobs:
        for number in range(world.jobs):
            await slots.acquire()
            jobs.create_task(_fixed_job(http, number)).add_done_callback(lambda _: slots.release())
    return 0


@asynccontextmanager
async def _http(server: Emulator) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {server.api_key}"}
    # A kept connection may be closed by the server just as it is used again: not what is measured.
    async with aiohttp.ClientSession(
        server.url, headers=headers, connector=aiohttp.TCPConnector(force_close=True)
    ) as http:
        yield http


async def _fixed_job(http: aiohttp.ClientSession, number: int) -> None:
    while not (task_id := (await _post(http, ENDPOINT, {"seed": number}))["taskId"]):  # noqa: ASYNC110 - it polls
        await asyncio.sleep(_EVERY)
    status = "QUEUED"
    while status in {"QUEUED", "RUNNING"}:
        await asyncio.sleep(_EVERY)
        status = (await _post(http, "query", {"taskId": task_id}))["status"]


async def _post(http: aiohttp.ClientSession, path: str, body: object) -> Any:
    async with http.post(f"/openapi/v2/{path}", json=body) as response:
        return await response.json()
