"""How long the jobs command takes over a journal of 100,000 jobs, how soon its first line is there, and its memory.

``uv run python -m benchmarks.listing [--quick]``: fresh processes, one for the table and one for ``--json``; the rows
are as saved jobs of a batch leave them. What counts is CPU time, kernel included, as Linux reports it: on a busy
machine everything else takes longer.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks._report import Row, tabulate
from rh_async import Session
from rh_async.emulator import Emulator

BARS = {"first_line_cpu_s": 1.0, "peak_mb": 100.0}
_TICKS = os.sysconf("SC_CLK_TCK")
_FORMS = {"a table": (), "--json": ("--json",)}


def filled(path: Path, jobs: int) -> None:
    """Create a journal as a batch leaves it."""

    async def made() -> None:
        async with Emulator() as server, Session(server.api_key, base_url=server.url, journal=path):
            pass

    asyncio.run(made())
    with sqlite3.connect(path) as db:
        names = (
            "site, key, attempt, fingerprint, state, owner, endpoint, inputs, nonce, task_id, claimed_utc, raw, paths"
        )
        values = (
            "'s', ?, 1, '', 'saved', ?, 'kling-v3.0-std/motion-control', ?, '', ?, '2026-01-01T00:00:00+00:00', ?, ?"
        )
        db.executemany(f"INSERT INTO jobs ({names}) VALUES ({values})", rows(jobs))  # noqa: S608 - all is written here
    db.close()


def rows(jobs: int) -> Iterator[tuple[str, str, str, str, bytes, str]]:
    """Yield the columns that differ from job to job."""
    for number in range(jobs):
        task = str(2_013_508_786_111_402_977 + number)
        results = [{"url": f"https://cdn.example/output.mp4?{'x' * 600}", "outputType": "mp4"}]
        raw = json.dumps({"taskId": task, "status": "SUCCESS", "results": results}).encode()
        inputs = {"imageUrl": f"/studio/in/hero{number}.png", "videoUrl": f"/studio/in/clip{number}.mp4"}
        key = f"auto-{hashlib.sha256(task.encode()).hexdigest()[:32]}"
        yield key, f"owner {number % 50}", json.dumps(inputs), task, raw, json.dumps([f"/studio/out/{task}_0.mp4"])


def list_jobs(path: Path, *options: str) -> dict[str, float]:
    """Run the command once."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "rh_async", "jobs", "--journal", str(path), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        process.stdout.readline()
        first, first_cpu = time.perf_counter() - began, cpu_of(process.pid)
        lines = sum(1 for _ in process.stdout) + 1
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    whole = time.perf_counter() - began
    peak = used.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)
    cpu = used.ru_utime + used.ru_stime
    return {
        "first_line_cpu_s": first_cpu,
        "first_line_s": first,
        "whole_s": whole,
        "cpu_s": cpu,
        "peak_mb": peak,
        "lines": lines,
    }


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a running process has used."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:13])) / _TICKS


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        filled(path, 5_000 if quick else 100_000)
        measured = [
            Row(scenario=form, client="rh_async", figures=list_jobs(path, *options), bars=BARS)
            for form, options in _FORMS.items()
        ]
    return tabulate("listing", measured, keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
