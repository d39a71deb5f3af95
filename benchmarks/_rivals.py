"""What a user would run instead: each client buys the same jobs from the same emulator, as itself and nothing more.

``floor`` is no rival but the least that can be done: the same requests, their answers decoded, nothing else.
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
class Shop:
    """Where to buy.

    :param read: how long an answer may take, in seconds.
    :param interval: between two questions about one job, in seconds.
    """

    url: str
    api_key: str
    interval: float = _INTERVAL
    read: float = 60.0

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes with every call."""
        return {"Authorization": f"Bearer {self.api_key}", "User-Agent": "floor"}

    @property
    def patience(self) -> aiohttp.ClientTimeout:
        """How long any call may take."""
        return aiohttp.ClientTimeout(total=self.read)


# --- the floor -------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Floor:
    """Two pools, as safety wants them, and no word more than the wire needs."""

    shop: Shop
    submits: aiohttp.ClientSession
    queries: aiohttp.ClientSession

    async def run(self, bodies: Iterable[Json], slots: int, questions: int) -> int:
        """Run jobs, one task per slot; how many had settled at their last question."""
        shared = iter(bodies)
        waits = (self.shop.interval * slot / slots for slot in range(slots))  # not fifty at one instant
        return sum(await asyncio.gather(*(self._slot(shared, questions, wait) for wait in waits)))

    async def _slot(self, bodies: Iterator[Json], questions: int, wait: float) -> int:
        settled = 0
        await asyncio.sleep(wait)
        for body in bodies:
            answer = await _post(self.submits, f"{self.shop.url}/openapi/v2/{ENDPOINT}", body)
            for _ in range(questions):
                await asyncio.sleep(self.shop.interval)
                answer = await self._question(answer["taskId"])
            settled += answer["status"] in _DONE
        return settled

    async def _question(self, task_id: str) -> Json:
        return await _post(self.queries, f"{self.shop.url}/openapi/v2/query", {"taskId": task_id})


@asynccontextmanager
async def floor(shop: Shop, *, handshake: bool) -> AsyncIterator[Floor]:
    """Open the floor's pools.

    :param handshake: whether each submit has a connection of its own, as ours has for safety's sake.
    """
    connector, reused = aiohttp.TCPConnector(force_close=handshake, limit=0), aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(headers=shop.headers, timeout=shop.patience, connector=connector) as submits,
        aiohttp.ClientSession(headers=shop.headers, timeout=shop.patience, connector=reused) as queries,
    ):
        yield Floor(shop=shop, submits=submits, queries=queries)


async def _post(pool: aiohttp.ClientSession, url: str, body: Json) -> Json:
    async with pool.post(url, json=body) as response:
        answer: Json = await response.json()
    return answer


# --- the naive loop --------------------------------------------------------------------------------------------------


async def naive(pool: aiohttp.ClientSession, shop: Shop, endpoint: str, body: Json, *, tries: int = 3) -> Json:
    """Buy a job and wait for it, as the vendor's documents advise: submit up to three times, ask every five seconds.

    :raises aiohttp.ClientError: it could not be bought.
    """
    answer = await _insisted(pool, f"{shop.url}/openapi/v2/{endpoint}", body, tries)
    while answer["status"] not in _DONE:
        await asyncio.sleep(shop.interval)
        answer = await _insisted(pool, f"{shop.url}/openapi/v2/query", {"taskId": answer["taskId"]}, 5)
    return answer


async def _insisted(pool: aiohttp.ClientSession, url: str, body: Json, tries: int) -> Json:
    for attempt in range(1, tries):
        with suppress(aiohttp.ClientError, TimeoutError, ValueError):
            return await _good(pool, url, body)
        await asyncio.sleep(attempt)
    return await _good(pool, url, body)


async def _good(pool: aiohttp.ClientSession, url: str, body: Json) -> Json:
    answer = await _post(pool, url, body)
    if answer.get("errorCode") not in {None, "", "0"}:
        raise aiohttp.ClientError(answer["errorMessage"])
    return answer


# --- the vendor's wire in another library ----------------------------------------------------------------------------


async def sdk(client: Any, shop: Shop, endpoint: str, body: Json) -> None:
    """Buy a job and wait for it with runninghub-sdk.

    :param client: its ``RunningHubClient``.
    :raises Exception: whatever it raises.
    """
    task = await client.async_run_model_api(endpoint, body)
    if not task.task_id:
        raise RuntimeError(task.error_message)
    await client.async_wait_for_query_v2_completion(task.task_id, poll_interval=shop.interval)
