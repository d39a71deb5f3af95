"""What a running session needs is loaded when it opens: a module that cannot be opened later costs no job."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks._server import emulator_process
from tests.session.conftest import Media

PROGRAM = """
import asyncio, json, logging, sys
from pathlib import Path
from rh_async import DreamActor, PollingPolicy, RHError, Session

logging.basicConfig(stream=sys.stderr, level=logging.INFO)

async def main():
    url, key, folder, image, video = sys.argv[1:]
    policy = PollingPolicy(interval=0.05, max_interval=0.1)
    async with Session(key, base_url=url, journal=Path(folder, "journal.db"), polling=policy) as session:
        loaded = set(sys.modules)
        requests = [DreamActor(image, video), *(DreamActor(image, f"https://e.test/{n}.mp4") for n in range(3))]
        async for outcome in session.map(requests, output_dir=folder):
            assert outcome.result, outcome.error
        try:
            await session.run(DreamActor(Path(folder, "no.png"), video))
        except RHError as error:
            print(error, file=sys.stderr)
        job = await session.submit(DreamActor(image, "https://e.test/stopped.mp4"))
        await job.cancel()
        submitter = session._lifetime.runtime.services.submitter
        uploads, submitter.uploads = submitter.uploads, None  # a defect, to be logged with its traceback
        try:
            await session.run(DreamActor(image, "https://e.test/bad.mp4"))
        except RHError as error:
            assert "NoneType" in str(error)
        submitter.uploads = uploads
        await session.account()
        await session.price(requests[0])
        await session.recovery.resume()
        session.statistics()
        await asyncio.sleep(1.5)
    print(json.dumps(sorted(set(sys.modules) - loaded)))

asyncio.run(main())
"""


@pytest.mark.processes
def test_nothing_is_loaded_while_jobs_are_under_way(media: Media, tmp_path: Path) -> None:
    with emulator_process(seed=1, run_time=0.2) as (url, key):
        named = url.replace("127.0.0.1", "localhost")
        arguments = [named, key, str(tmp_path), str(media.images[0]), str(media.videos[0])]
        program = [sys.executable, "-c", PROGRAM, *arguments]
        done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == []
