"""A link that is dead or forbidden affects its own output only."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from rh_async._http.transport import Transport
from rh_async.batch import OutputNaming
from rh_async.emulator import Emulator, Fault
from rh_async.errors import OutputRefused, ResponseLost
from tests.batch.running import opened, product, run, states


async def test_eight_failing_downloads_do_not_hold_back_a_ninth(
    stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download, dead = Transport.fetch, set[str]()

    def failing_fetch(transport: Transport, url: str) -> AbstractAsyncContextManager[Any]:
        link = url.partition("?")[0]
        if len(dead) < 8 or link in dead:
            dead.add(link)
            raise ResponseLost("download: no whole answer came back", phase="download")
        return download(transport, url)

    monkeypatch.setattr(Transport, "fetch", failing_fetch)
    loop = asyncio.get_running_loop()
    async with Emulator(seed=1, run_time=60.0) as server, opened(server, tmp_path) as session:
        async for outcome in session.batch(await product(stock), tmp_path / "out"):
            assert outcome.state == "saved"
            break
    assert loop.time() < 200
    assert len(dead) == 8


async def test_a_forbidden_link_stops_no_other_job(
    stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download, refused = Transport.fetch, list[str]()

    def failing_fetch(transport: Transport, url: str) -> AbstractAsyncContextManager[Any]:
        if not refused:
            refused.append(url)
            return download(transport, "file:///etc/passwd")
        return download(transport, url)

    monkeypatch.setattr(Transport, "fetch", failing_fetch)
    async with Emulator(seed=1, run_time=60.0) as server, opened(server, tmp_path, in_flight=1) as session:
        outcomes = [outcome async for outcome in session.batch(await product(stock), tmp_path / "out")]
    assert states(outcomes) == {"save_failed": 1, "saved": 8}
    (failed,) = (outcome for outcome in outcomes if outcome.state == "save_failed")
    assert isinstance(failed.error, OutputRefused)
    assert (failed.cause, failed.error.task_id) == ("job", failed.task_id)


async def test_an_output_type_that_is_no_extension_is_not_used_as_one(stock: Path, tmp_path: Path) -> None:
    async with Emulator(seed=1, run_time=60.0) as server:
        server.faults.add(Fault("output_type", output_type="video", times=None))
        outcomes = await run(server, tmp_path, await product(stock), naming=OutputNaming("{clip}__{character}"))
        again = await run(server, tmp_path, await product(stock), naming=OutputNaming("{clip}__{character}"))
        assert (states(outcomes), states(again)) == ({"saved": 9}, {"already_done": 9})
        assert len(server.ledger.downloads) == 9
    assert {path.suffix for outcome in outcomes for path in outcome.paths} == {".mp4"}
