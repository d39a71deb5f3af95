"""What a user would run instead: each client buys the same jobs from the same emulator, as itself and nothing more.

``floor`` is no rival but the least that can be done: the same requests, their answers decoded, nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from attrs import frozen

ENDPOINT = "bench/motion"
_DONE = frozenset({"SUCCESS", "FAILED", "CANCEL"})
_INTERVAL = 5.0  # seconds, what the vendor's own client waits
_TIMEOUT = aiohttp.ClientTimeout(total=60.0)

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
    connector = aiohttp.TCPConnector(force_close=handshake, limit=0)
    async with (
        aiohttp.ClientSession(headers=shop.headers, connector=connector) as submits,
        aiohttp.ClientSession(headers=shop.headers, connector=aiohttp.TCPConnector(limit=0)) as queries,
    ):
        yield Floor(shop=shop, submits=submits, queries=queries)


async def _post(pool: aiohttp.ClientSession, url: str, body: Json) -> Json:
    async with pool.post(url, json=body, timeout=_TIMEOUT) as response:
        answer: Json = await response.json()
    return answer
