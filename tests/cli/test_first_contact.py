"""A command whose server never answers ends within half a minute, with one line that names the address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rh_async import ModelRequest, Session
from rh_async._cli.execution.first_contact import connected
from rh_async.emulator import Emulator
from tests.cli.conftest import Shell


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Set the environment to an address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("RUNNINGHUB_BASE_URL", url)
        monkeypatch.setenv("RUNNINGHUB_API_KEY", "0123456789abcdef" * 2)
        yield url


async def _blackhole(*_: object, **__: object) -> None:
    await asyncio.sleep(3600)


@pytest.mark.parametrize("swallowed", [False, True])
@pytest.mark.parametrize(
    "line", ["run hero.png dance.mp4", "batch dance.mp4 --image hero.png -o out", "status 12", "cancel 12", "account"]
)
async def test_a_server_that_never_answers_ends_the_command_with_2(
    line: str, swallowed: bool, closed: str, desk: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    if swallowed:
        monkeypatch.setattr(loop, "sock_connect", _blackhole)
    began = loop.time()
    ended = await shell(line)
    assert (ended.code, loop.time() - began <= 31.0) == (2, True)
    assert ended.err.splitlines()[-1].startswith(f"rh-async: nothing answers at {closed}: check the address")


async def test_a_batch_with_one_response_waits_an_outage_out(site: Emulator, desk: Path, shell: Shell) -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(20, site.refuse_connections, 300)
    ended = await shell("batch dance.mp4 --image hero.png -o out")
    assert ended.code == 0
    assert loop.time() > 300
    assert len(site.ledger.tasks) == 1


async def test_a_command_that_only_polls_ends_too(closed: str) -> None:
    with pytest.raises(Exception, match=f"nothing answers at {closed}"):
        async with connected(Session("k" * 32, base_url=closed), closed) as session:
            await session.attach("12")
    assert asyncio.get_running_loop().time() <= 31.0


async def test_a_cancellation_from_outside_stays_a_cancellation(closed: str) -> None:
    async def command() -> None:
        async with connected(Session("k" * 32, base_url=closed), closed) as session:
            await session.run(ModelRequest("bench/motion", {}))

    running = asyncio.ensure_future(command())
    await asyncio.sleep(5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
