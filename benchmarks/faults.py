"""What is bought when the network misbehaves on submit: tasks created beside tasks wanted, per client and fault.

``uv run --group bench python -m benchmarks.faults [--quick]``: each client has a process of its own and buys 12 jobs,
four at a time, from an emulator in another process; the fault strikes four of the submits. Then the emulator's ledger
is read. *Denied* are jobs that were bought though the client says that they failed: it holds no result and no doubt, so
whoever believes it pays again. ``naive`` submits up to three times, as the vendor's documents advise; ``sdk`` is
runninghub-sdk 1.1.9.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import multiprocessing
import secrets
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import aiohttp

from benchmarks._report import Row, tabulate
from benchmarks._rivals import Shop, naive, sdk
from benchmarks._server import emulator_process
from benchmarks.crash import AdminClient
from rh_async import ModelRequest, PollingPolicy, RHError, Session, Timeouts

BARS = {"paid_twice": 0.0, "denied": 0.0}
_WANTED, _AT_ONCE, _FAULTS_PER_CASE = 12, 4, 4
_READ = 1.0  # seconds until a client gives an answer up
_EVERY = 0.1  # seconds between two questions

FAULTS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "refused connection": {"kind": "refuse_connections", "seconds": 0.3},
    "connection dropped, nothing bought": {"kind": "drop_before_body"},
    "connection dropped, bought": {"kind": "drop_after_accept"},
    "half an answer, bought": {"kind": "drop_mid_response"},
    "no answer, nothing bought": {"kind": "hang", "accepted": False},
    "no answer, bought": {"kind": "hang", "accepted": True},
    "gateway's 502, nothing bought": {"kind": "gateway_502", "accepted": False},
    "gateway's 502, bought": {"kind": "gateway_502", "accepted": True},
    "421, nothing bought": {"kind": "error_code", "code": "421"},
    "421 that names its task": {"kind": "error_with_task"},
}

Buy = Callable[[str], Awaitable[bool]]
"""Buys one job by its path; whether it has a result. False: it may have been bought."""


async def bought(buy: Buy, paths: list[str], failures: tuple[type[Exception], ...]) -> dict[str, str]:
    """Buy jobs, a few at a time; what the client says of each."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(path: str) -> str:
        async with room:
            try:
                return "done" if await buy(path) else "doubtful"
            except failures:
                return "failed"

    return dict(zip(paths, await asyncio.gather(*map(one, paths)), strict=True))


async def with_ours(shop: Shop, paths: list[str]) -> dict[str, str]:
    """What rh_async says."""

    async def buy(path: str) -> bool:
        try:
            return bool((await session.run(ModelRequest(path, {}))).outputs)
        except RHError as error:
            if error.maybe_billed:
                return False
            raise

    polling, timeouts = PollingPolicy(interval=shop.interval), Timeouts(read=_READ)
    async with Session(shop.api_key, base_url=shop.url, polling=polling, timeouts=timeouts) as session:
        return await bought(buy, paths, (RHError,))


async def with_naive(shop: Shop, paths: list[str]) -> dict[str, str]:
    """What a loop with three tries says."""

    async def buy(path: str) -> bool:
        return bool((await naive(pool, shop, path, {}))["status"] == "SUCCESS")

    async with aiohttp.ClientSession(headers=shop.headers, timeout=shop.patience) as pool:
        return await bought(buy, paths, (aiohttp.ClientError, TimeoutError, ValueError))


async def with_sdk(shop: Shop, paths: list[str]) -> dict[str, str]:
    """What runninghub-sdk says."""
    from runninghub_sdk import RunningHubClient  # noqa: PLC0415 - a rival, installed with the group `bench`
    from runninghub_sdk.exceptions import RunningHubError  # noqa: PLC0415

    async def buy(path: str) -> bool:
        await sdk(client, shop, path, {})
        return True

    async with RunningHubClient(shop.api_key, base_url=shop.url, timeout=shop.read) as client:
        return await bought(buy, paths, (RunningHubError, RuntimeError))


CLIENTS: Mapping[str, Callable[[Shop, list[str]], Awaitable[dict[str, str]]]] = {
    "rh_async": with_ours,
    "naive": with_naive,
    "sdk": with_sdk,
}


def play(client: str, shop: Shop, paths: list[str]) -> dict[str, str]:
    """Let one client buy, in this process."""
    logging.disable(logging.WARNING)
    return asyncio.run(_with(client, shop, paths))


async def _with(client: str, shop: Shop, paths: list[str]) -> dict[str, str]:
    return await CLIENTS[client](shop, paths)


def alone(client: str, shop: Shop, paths: list[str]) -> dict[str, str]:
    """Let one client buy, in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(play, client, shop, paths).result()


def figures(said: Mapping[str, str], ledger: Any) -> dict[str, float]:
    """Compare what a client says with what the server has."""
    tasks = defaultdict(set)
    for task in ledger["tasks"]:
        tasks[task["endpoint"]].add(task["task_id"])
    words = list(said.values())
    return {
        "wanted": len(said),
        "created": sum(len(tasks[path]) for path in said),
        "paid_twice": sum(len(tasks[path]) > 1 for path in said),
        "denied": sum(word == "failed" and bool(tasks[path]) for path, word in said.items()),
        "done": words.count("done"),
        "doubtful": words.count("doubtful"),
        "failed": words.count("failed"),
    }


def main() -> int:
    """Buy, compare, keep."""
    quick = "--quick" in sys.argv
    clients = [name for name in CLIENTS if name != "sdk" or importlib.util.find_spec("runninghub_sdk")]
    rows = []
    token = secrets.token_hex()
    with emulator_process(seed=1, limit=1000, run_time=0.3, admin_token=token) as (url, api_key):
        admin, shop = AdminClient(url, token), Shop(url=url, api_key=api_key, interval=_EVERY, read=_READ)
        for number, (name, fault) in enumerate(list(FAULTS.items())[:4] if quick else FAULTS.items()):
            for client in clients:
                admin.request("DELETE", "faults")
                admin.request("POST", "faults", [{**fault, "times": _FAULTS_PER_CASE}] if fault else [])
                said = alone(client, shop, [f"{client}/{number}-{job}" for job in range(_WANTED)])
                found = figures(said, admin.request("GET", "ledger"))
                rows.append(Row(scenario=name, client=client, figures=found, bars=BARS if client == "rh_async" else {}))
    if "sdk" not in clients:
        print("runninghub-sdk is not installed: uv run --group bench python -m benchmarks.faults")
    return tabulate("faults", rows, keep=not quick and "sdk" in clients)


if __name__ == "__main__":
    sys.exit(main())
