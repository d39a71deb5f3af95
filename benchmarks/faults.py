"""What is billed when the network fails on submit: tasks created beside tasks wanted, per client and fault.

``uv run --group bench python -m benchmarks.faults [--quick]``: each client has a process of its own and buys 12 jobs,
four at a time, from an emulator in another process; the fault affects four of the submits. Then the emulator's ledger
is read. ``billed_but_failed`` are jobs that were billed though the client reports them as failed: a user who believes
it submits them again, and pays twice. ``naive`` submits up to three times, as the vendor's documents advise; ``sdk`` is
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
from benchmarks._rivals import Target, naive, sdk
from benchmarks._server import emulator_process
from benchmarks.crash import AdminClient
from rh_async import ModelRequest, PollingPolicy, RHError, Session, Timeouts

BARS = {"billed_twice": 0.0, "billed_but_failed": 0.0}
_WANTED, _AT_ONCE, _FAULTS_PER_CASE = 12, 4, 4
_READ = 1.0  # seconds until a client gives a response up
_EVERY = 0.1  # seconds between two polls

FAULTS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "refused connection": {"kind": "refuse_connections", "seconds": 0.3},
    "connection dropped, nothing billed": {"kind": "drop_before_body"},
    "connection dropped, billed": {"kind": "drop_after_accept"},
    "half a response, billed": {"kind": "drop_mid_response"},
    "no response, nothing billed": {"kind": "hang", "accepted": False},
    "no response, billed": {"kind": "hang", "accepted": True},
    "gateway's 502, nothing billed": {"kind": "gateway_502", "accepted": False},
    "gateway's 502, billed": {"kind": "gateway_502", "accepted": True},
    "421, nothing billed": {"kind": "error_code", "code": "421"},
    "421 that names its task": {"kind": "error_with_task"},
}

Buy = Callable[[str], Awaitable[bool]]
"""Submits one job by its endpoint; returns whether it has a result. False: it may have been billed."""


async def reports(buy: Buy, paths: list[str], failures: tuple[type[Exception], ...]) -> dict[str, str]:
    """Run jobs, a few at a time; return what the client reports of each."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(path: str) -> str:
        async with slots:
            try:
                return "done" if await buy(path) else "unconfirmed"
            except failures:
                return "failed"

    return dict(zip(paths, await asyncio.gather(*map(one, paths)), strict=True))


async def with_ours(target: Target, paths: list[str]) -> dict[str, str]:
    """Return what rh_async reports."""

    async def buy(path: str) -> bool:
        try:
            return bool((await session.run(ModelRequest(path, {}))).outputs)
        except RHError as error:
            if error.maybe_billed:
                return False
            raise

    polling, timeouts = PollingPolicy(interval=target.interval), Timeouts(read=_READ)
    async with Session(target.api_key, base_url=target.url, polling=polling, timeouts=timeouts) as session:
        return await reports(buy, paths, (RHError,))


async def with_naive(target: Target, paths: list[str]) -> dict[str, str]:
    """Return what a loop with three tries reports."""

    async def buy(path: str) -> bool:
        return bool((await naive(pool, target, path, {}))["status"] == "SUCCESS")

    async with aiohttp.ClientSession(headers=target.headers, timeout=target.timeout) as pool:
        return await reports(buy, paths, (aiohttp.ClientError, TimeoutError, ValueError))


async def with_sdk(target: Target, paths: list[str]) -> dict[str, str]:
    """Return what runninghub-sdk reports."""
    from runninghub_sdk import RunningHubClient  # noqa: PLC0415 - a rival, installed with the group `bench`
    from runninghub_sdk.exceptions import RunningHubError  # noqa: PLC0415

    async def buy(path: str) -> bool:
        await sdk(client, target, path, {})
        return True

    async with RunningHubClient(target.api_key, base_url=target.url, timeout=target.read) as client:
        return await reports(buy, paths, (RunningHubError, RuntimeError))


CLIENTS: Mapping[str, Callable[[Target, list[str]], Awaitable[dict[str, str]]]] = {
    "rh_async": with_ours,
    "naive": with_naive,
    "sdk": with_sdk,
}


def play(client: str, target: Target, paths: list[str]) -> dict[str, str]:
    """Run one client in this process."""
    logging.disable(logging.WARNING)
    return asyncio.run(_with(client, target, paths))


async def _with(client: str, target: Target, paths: list[str]) -> dict[str, str]:
    return await CLIENTS[client](target, paths)


def alone(client: str, target: Target, paths: list[str]) -> dict[str, str]:
    """Run one client in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(play, client, target, paths).result()


def figures(reported: Mapping[str, str], ledger: Any) -> dict[str, float]:
    """Compare what a client reports with what the server has."""
    tasks = defaultdict(set)
    for task in ledger["tasks"]:
        tasks[task["endpoint"]].add(task["task_id"])
    states = list(reported.values())
    return {
        "wanted": len(reported),
        "created": sum(len(tasks[path]) for path in reported),
        "billed_twice": sum(len(tasks[path]) > 1 for path in reported),
        "billed_but_failed": sum(state == "failed" and bool(tasks[path]) for path, state in reported.items()),
        "done": states.count("done"),
        "unconfirmed": states.count("unconfirmed"),
        "failed": states.count("failed"),
    }


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    clients = [name for name in CLIENTS if name != "sdk" or importlib.util.find_spec("runninghub_sdk")]
    rows = []
    token = secrets.token_hex()
    with emulator_process(seed=1, limit=1000, run_time=0.3, admin_token=token) as (url, api_key):
        admin, target = AdminClient(url, token), Target(url=url, api_key=api_key, interval=_EVERY, read=_READ)
        for number, (name, fault) in enumerate(list(FAULTS.items())[:4] if quick else FAULTS.items()):
            for client in clients:
                admin.request("DELETE", "faults")
                admin.request("POST", "faults", [{**fault, "times": _FAULTS_PER_CASE}] if fault else [])
                reported = alone(client, target, [f"{client}/{number}-{job}" for job in range(_WANTED)])
                found = figures(reported, admin.request("GET", "ledger"))
                rows.append(Row(scenario=name, client=client, figures=found, bars=BARS if client == "rh_async" else {}))
    if "sdk" not in clients:
        print("runninghub-sdk is not installed: uv run --group bench python -m benchmarks.faults")
    return tabulate("faults", rows, keep=not quick and "sdk" in clients)


if __name__ == "__main__":
    sys.exit(main())
