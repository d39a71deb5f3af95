"""A process that may open few files saves every output that it paid for, and pays for nothing twice. In real time."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import crash
from benchmarks._server import emulator_process

pytestmark = pytest.mark.processes

JOBS, FILES, TOKEN = 60, 32, "few-descriptors"
CHILD = f"""
import asyncio, collections, resource, sys
from rh_async import DreamActor, PollingPolicy, RetryPolicy, Session

async def main(url, key, folder, files):
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    ends = collections.Counter()
    requests = (DreamActor("https://x.test/a.png", f"https://x.test/{{n}}.mp4") for n in range({JOBS}))
    policy = PollingPolicy(interval=0.2, max_interval=0.5, polls_per_second=200, queue_counters=False)
    async with Session(key, base_url=url, journal=f"{{folder}}/journal.db", in_flight=60, polling=policy) as session:
        async for outcome in session.map(requests, output_dir=f"{{folder}}/out"):
            ends[type(outcome.error).__name__] += 1
    print(dict(ends))

asyncio.run(main(*sys.argv[1:4], int(sys.argv[4])))
"""


def test_a_process_that_may_open_few_files_saves_every_output(tmp_path: Path) -> None:
    with emulator_process(seed=1, run_time=0.2, limit=500, admin_token=TOKEN) as (url, api_key):
        words = [sys.executable, "-c", CHILD, url, api_key, str(tmp_path), str(FILES)]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - our own
        bought = Counter(task["endpoint"] for task in crash.AdminClient(url, TOKEN).request("GET", "ledger")["tasks"])
    assert ran.stdout.strip() == str({"NoneType": JOBS}), ran.stderr[-2000:]
    assert sum(bought.values()) == JOBS
    assert len(list((tmp_path / "out").glob("*.mp4"))) == JOBS
