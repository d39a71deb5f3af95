"""What a user would run instead: each client runs the same jobs against the same emulator.

``baseline`` is no rival but the least that can be done: the same requests, their responses decoded, nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
from attrs import frozen

ENDPOINT = "bench/motion"
_DONE = frozenset({"SUCCESS", "FAILED", "CANCEL"})
_INTERVAL = 5.0  # seconds, what the vendor's own client waits

Json = dict[str, Any]


@frozen(kw_only=True)
class Target:
    """The server, and how to use it.

    :param read: how long a response may take, in seconds.
    :param interval: between two polls of one job, in seconds.
    """

    url: str
    api_key: str
    interval: float = _INTERVAL
    read: float = 60.0

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every call."""
        return {"Authorization": f"Bearer {self.api_key}", "User-Agent": "baseline"}

    @property
    def timeout(self) -> aiohttp.ClientTimeout:
        """The time limit of every call."""
        return aiohttp.ClientTimeout(total=self.read)


# --- the baseline -----------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Baseline:
    """Two pools, because a paid POST needs one of its own, and nothing that the requests do not need."""

    target: Target
    submits: aiohttp.ClientSession
    queries: aiohttp.ClientSession

    async def run(self, bodies: Iterable[Json], slots: int, polls: int) -> int:
        """Run jobs, one task per slot; return how many had settled at their last poll."""
        shared = iter(bodies)
        waits = (self.target.interval * slot / slots for slot in range(slots))  # not fifty at one instant
        return sum(await asyncio.gather(*(self._slot(shared, polls, wait) for wait in waits)))

    async def _slot(self, bodies: Iterator[Json], polls: int, wait: float) -> int:
        settled = 0
        await asyncio.sleep(wait)
        for body in bodies:
            response = await _post(self.submits, f"{self.target.url}/openapi/v2/{ENDPOINT}", body)
            for _ in range(polls):
                await asyncio.sleep(self.target.interval)
                response = await self._query(response["taskId"])
            settled += response["status"] in _DONE
        return settled

    async def _query(self, task_id: str) -> Json:
        return await _post(self.queries, f"{self.target.url}/openapi/v2/query", {"taskId": task_id})


@asynccontextmanager
async def baseline(target: Target, *, handshake: bool) -> AsyncIterator[Baseline]:
    """Open the baseline's pools.

    :param handshake: whether each submit has a connection of its own, as ours has for safety's sake.
    """
    connector, reused = aiohttp.TCPConnector(force_close=handshake, limit=0), aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(headers=target.headers, timeout=target.timeout, connector=connector) as submits,
        aiohttp.ClientSession(headers=target.headers, timeout=target.timeout, connector=reused) as queries,
    ):
        yield Baseline(target=target, submits=submits, queries=queries)


async def _post(pool: aiohttp.ClientSession, url: str, body: Json) -> Json:
    async with pool.post(url, json=body) as response:
        content: Json = await response.json()
    return content


# --- the naive loop ---------------------------------------------------------------------------------------------------


async def naive(pool: aiohttp.ClientSession, target: Target, endpoint: str, body: Json, *, tries: int = 3) -> Json:
    """Run a job as the vendor's documents advise: submit up to three times, poll every five seconds.

    :raises aiohttp.ClientError: it could not be submitted.
    """
    response = await _post_with_retries(pool, f"{target.url}/openapi/v2/{endpoint}", body, tries)
    while response["status"] not in _DONE:
        await asyncio.sleep(target.interval)
        response = await _post_with_retries(pool, f"{target.url}/openapi/v2/query", {"taskId": response["taskId"]}, 5)
    return response


async def _post_with_retries(pool: aiohttp.ClientSession, url: str, body: Json, tries: int) -> Json:
    for attempt in range(1, tries):
        with suppress(aiohttp.ClientError, TimeoutError, ValueError):
            return await _post_checked(pool, url, body)
        await asyncio.sleep(attempt)
    return await _post_checked(pool, url, body)


async def _post_checked(pool: aiohttp.ClientSession, url: str, body: Json) -> Json:
    response = await _post(pool, url, body)
    if response.get("errorCode") not in {None, "", "0"}:
        raise aiohttp.ClientError(response["errorMessage"])
    return response


# --- the vendor's wire in another library -----------------------------------------------------------------------------


async def sdk(client: Any, target: Target, endpoint: str, body: Json) -> None:
    """Run a job with runninghub-sdk.

    :param client: its ``RunningHubClient``.
    :raises Exception: whatever it raises.
    """
    task = await client.async_run_model_api(endpoint, body)
    if not task.task_id:
        raise RuntimeError(task.error_message)
    await client.async_wait_for_query_v2_completion(task.task_id, poll_interval=target.interval)
