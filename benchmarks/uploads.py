"""How much memory a large upload takes, and how long it holds up the event loop.

``uv run python -m benchmarks.uploads [--quick]``: one 800 MB file (80 MB with ``--quick``) goes up to an emulator in
another process. RSS is the process's peak, so that a moment is enough to be caught; the loop is watched every 2 ms.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks._report import report
from benchmarks._server import emulator_process
from rh_async import Session

MB = 1024 * 1024
BARS = {"rss_growth_mb": 32.0, "longest_stall_ms": 50.0}


def peak_rss_mb() -> float:
    """Return the peak RSS of this process, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MB if sys.platform == "darwin" else peak / 1024


def write_film(path: Path, megabytes: int) -> Path:
    """Write something that begins like an mp4 and compresses like noise."""
    block = bytes(range(256)) * (MB // 256)
    with path.open("wb") as film:
        film.write(b"\0\0\0\x18ftypisom")
        for number in range(megabytes):
            film.write(number.to_bytes(8, "big") + block[8:])
    return path


async def longest_stall(done: asyncio.Event, tick: float = 0.002) -> float:
    """Return the longest time, in seconds, that the loop was late for a wake-up."""
    worst = 0.0
    while not done.is_set():
        began = perf_counter()
        await asyncio.sleep(tick)
        worst = max(worst, perf_counter() - began - tick)
    return worst


async def measure(url: str, key: str, warm: Path, film: Path) -> dict[str, float]:
    """Upload a small file, then the large one, and measure."""
    async with Session(key, base_url=url) as session:
        await session.upload(warm)  # imports, connections and threads are not what is measured
        before, began, done = peak_rss_mb(), perf_counter(), asyncio.Event()
        watching = asyncio.create_task(longest_stall(done))
        upload = await session.upload(film)
        done.set()
        seconds = perf_counter() - began
        return {
            "megabytes": upload.size / MB,
            "rss_growth_mb": peak_rss_mb() - before,
            "longest_stall_ms": 1000 * await watching,
            "mb_per_second_hashed_and_sent": upload.size / MB / seconds,
        }


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    with tempfile.TemporaryDirectory() as folder, emulator_process(seed=1) as (url, key):
        warm = write_film(Path(folder, "warm.mp4"), 8)
        film = write_film(Path(folder, "film.mp4"), 80 if quick else 800)
        figures = asyncio.run(measure(url, key, warm, film))
    return report("uploads", figures, BARS, keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
