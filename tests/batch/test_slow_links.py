"""Links that bring nothing hold up their own outputs, and no others."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from rh_async import NoAnswer
from rh_async._transport import Transport
from rh_async.emulator import Emulator
from tests.batch.running import opened, product


async def test_eight_outputs_that_cannot_be_fetched_keep_no_ninth_from_the_disk(
    stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, dead = Transport.fetch, set[str]()

    def fetched(transport: Transport, url: str) -> AbstractAsyncContextManager[Any]:
        link = url.partition("?")[0]
        if len(dead) < 8 or link in dead:
            dead.add(link)
            raise NoAnswer("download: no whole answer came back", phase="download")
        return fetch(transport, url)

    monkeypatch.setattr(Transport, "fetch", fetched)
    loop = asyncio.get_running_loop()
    async with Emulator(seed=1, run_time=60.0) as server, opened(server, tmp_path) as session:
        async for outcome in session.batch(await product(stock), tmp_path / "out"):
            assert outcome.state == "saved"
            break
    assert loop.time() < 200
    assert len(dead) == 8
