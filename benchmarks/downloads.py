"""How much memory a large output takes on its way to disk, and how long it holds up the event loop.

``uv run python -m benchmarks.downloads [--quick]``: one 800 MB file (80 MB with ``--quick``) comes from a server in
another process. Each client has a process of its own, whose peak RSS is measured; the loop is watched every 2 ms.
``naive`` is the obvious code: ``path.write_bytes(await response.read())``.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import aiohttp
from aiohttp import web

from benchmarks._bare import in_process
from benchmarks._report import Row, tabulate
from benchmarks.uploads import BARS, MB, longest_stall, peak_rss_mb, write_film
from rh_async import Output, Result, Session, TaskId, Usage

Fetch = Callable[[str], Awaitable[Path]]


@asynccontextmanager
async def showing(folder: Path) -> AsyncIterator[str]:
    """Serve a folder; yield its URL."""
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def with_ours(folder: Path, url: str) -> dict[str, float]:
    """Save the file as the output of a job."""

    async def fetch(name: str) -> Path:
        output = Output(url=f"{url}/{name}.mp4", type="mp4")
        number = TaskId(str(sum(name.encode())))
        result = Result(task_id=number, outputs=(output,), usage=Usage(), noticed_utc=datetime.now(UTC))
        return (await session.save(result, folder))[0]

    async with Session("f" * 32, base_url=url) as session:
        return await watched(fetch)


async def with_read(folder: Path, url: str) -> dict[str, float]:
    """Save the file with the obvious code."""

    async def fetch(name: str) -> Path:
        path = folder / f"naive-{name}.mp4"
        async with client.get(f"{url}/{name}.mp4") as response:
            path.write_bytes(await response.read())
        return path

    async with aiohttp.ClientSession() as client:
        return await watched(fetch)


async def watched(fetch: Fetch) -> dict[str, float]:
    """Fetch a small file, then the large one, and measure."""
    await fetch("warm")  # imports, connections and threads are not what is measured
    before, began, done = peak_rss_mb(), perf_counter(), asyncio.Event()
    watching = asyncio.create_task(longest_stall(done))
    path = await fetch("film")
    done.set()
    seconds = perf_counter() - began
    size = path.stat().st_size / MB
    return {
        "megabytes": size,
        "rss_growth_mb": peak_rss_mb() - before,
        "longest_stall_ms": 1000 * await watching,
        "mb_per_second": size / seconds,
    }


def measure(client: str, folder: Path, url: str) -> dict[str, float]:
    """Run one client in this process."""
    return asyncio.run((with_ours if client == "rh_async" else with_read)(folder, url))


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    rows = []
    with tempfile.TemporaryDirectory() as place:
        shown, taken = Path(place, "shown"), Path(place, "taken")
        shown.mkdir()
        taken.mkdir()
        write_film(shown / "warm.mp4", 8)
        film = write_film(shown / "film.mp4", 80 if quick else 800)
        with in_process(showing, shown) as url:
            for client, bars in (("rh_async", BARS), ("naive", {})):
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
                    figures = alone.submit(measure, client, taken, url).result()
                if figures["megabytes"] != film.stat().st_size / MB:
                    raise SystemExit(f"{client} brought {figures['megabytes']} MB")
                rows.append(Row(client=client, figures=figures, bars=bars))
    return tabulate("downloads", rows, keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
