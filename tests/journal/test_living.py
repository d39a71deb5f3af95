"""Who lives, and in which process: a forked child keeps no dead session alive, and what lives is named."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks._server import emulator_process
from rh_async import DreamActor, Session
from rh_async._journal.lease import ProcessLease
from rh_async.emulator import Emulator
from rh_async.journal import SubmissionState
from tests.journal.killing import rows_of

FORKING = """
import asyncio, os, sys, time
from rh_async import DreamActor, PollingPolicy, Session

async def main():
    url, key, book = sys.argv[1:]
    session = Session(key, base_url=url, journal=book, polling=PollingPolicy(interval=600.0, queue_counters=False))
    await session.__aenter__()
    await session.submit(DreamActor("https://example.test/a.png", "https://example.test/b.mp4"), idempotency_key="clip")
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    print(child, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.processes
def test_a_forked_child_that_outlives_its_killed_parent_holds_nothing(tmp_path: Path) -> None:
    journal_path = tmp_path / "journal.db"
    with emulator_process(seed=1, run_time=0.1) as (url, key):
        program = [sys.executable, "-c", FORKING, url, key, str(journal_path)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as parent:  # noqa: S603 - our own
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
            try:
                with asyncio.Runner() as real_time:
                    held = real_time.run(_resumed(url, key, journal_path))
                    assert held == ([("clip", parent.pid)], [])
                    parent.kill()
                    parent.wait()
                    assert real_time.run(_resumed(url, key, journal_path)) == ([], ["clip"])
            finally:
                os.kill(child, signal.SIGKILL)


async def _resumed(url: str, key: str, journal_path: Path) -> tuple[list[tuple[str, int]], list[str | None]]:
    """What is held and by which process, and what is taken over; the children of jobs end before the session does."""
    async with asyncio.timeout(30), Session(key, base_url=url, journal=journal_path) as session:
        resumed = await session.recovery.resume()
        return [(record.key, pid) for record, pid in resumed.held], [job.key for job in resumed.jobs]


async def test_what_a_living_session_carries_is_named_with_its_process_and_left_to_it(
    server: Emulator, journal_path: Path
) -> None:
    request = DreamActor("https://example.test/a.png", "https://example.test/b.mp4")
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as one:
        job = await one.submit(request, idempotency_key="clip")
        async with Session(server.api_key, base_url=server.url, journal=journal_path) as two:
            resumed = await two.recovery.resume()
            assert [(record.key, record.state, pid) for record, pid in resumed.held] == [
                ("clip", SubmissionState.SUBMITTED, os.getpid())
            ]
            assert resumed.jobs == ()
        assert (await one.recovery.resume()).held == ()
        assert (await job).outputs
    assert [row.state for row in rows_of(journal_path)] == [SubmissionState.SETTLED]


def test_an_owner_of_a_version_that_says_nothing_of_itself_has_no_process(tmp_path: Path) -> None:
    one, two = ProcessLease(tmp_path), ProcessLease(tmp_path)
    one.acquire({"": 7})
    two.acquire()
    assert [(other.pid, other.files) for other in two.others()] == [(os.getpid(), {"": 7})]
    for said in ("", "[]", "{}", json.dumps({"pid": "7"})):
        tmp_path.joinpath(f"{one.name}.alive").write_text(said)
        assert [(other.name, other.pid) for other in two.others()] == [(one.name, 0)]
    one.release()
    assert two.others() == []
    two.release()
