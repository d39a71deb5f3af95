"""A server that never answers is given up within half a minute; one that has answered once is waited for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from rh_async import ModelRequest, Session, TransportError
from rh_async.emulator import Emulator, Fault
from rh_async.errors import NotSent
from tests.session.conftest import Media

MODEL = "bench/motion"


@pytest.fixture
def closed() -> Iterator[str]:
    """Reserve an address where no server listens, and no other can start."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def _blackhole(*_: object, **__: object) -> None:
    await asyncio.sleep(3600)


async def within_half_a_minute(session: Session, call: str, media: Media) -> TransportError:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TransportError) as caught:
        if call == "submit":
            await session.submit(ModelRequest(MODEL, {}))
        elif call == "upload":
            await session.upload(media.images[0])
        elif call == "account":
            await session.account()
        else:
            await session.get_status("12")
    assert 10 < loop.time() - began <= 30
    return caught.value


@pytest.mark.parametrize("call", ["submit", "upload", "account", "look"])
async def test_a_closed_port_is_given_up_within_half_a_minute(call: str, closed: str, media: Media) -> None:
    async with Session("k" * 32, base_url=closed) as session:
        error = await within_half_a_minute(session, call, media)
        assert isinstance(error, NotSent)
        assert session.unanswered_for > 10


@pytest.mark.parametrize("call", ["submit", "upload", "account", "look"])
async def test_an_address_that_swallows_connections_is_given_up_within_half_a_minute(
    call: str, closed: str, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", _blackhole)
    async with Session("k" * 32, base_url=closed) as session:
        await within_half_a_minute(session, call, media)


@pytest.mark.parametrize("call", ["account", "look"])
async def test_a_server_that_takes_calls_and_never_answers_is_given_up_within_half_a_minute(
    call: str, silent: str, media: Media
) -> None:
    async with Session("k" * 32, base_url=silent) as session:
        await within_half_a_minute(session, call, media)


async def test_a_server_that_comes_up_in_time_is_waited_for(server: Emulator) -> None:
    server.refuse_connections(25)
    async with Session(server.api_key, base_url=server.url) as session:
        assert (await session.account()).key_type
        assert session.unanswered_for == 0.0


async def test_silence_after_an_answer_is_waited_out(server: Emulator) -> None:
    async with Session(server.api_key, base_url=server.url) as session:
        await session.account()
        server.refuse_connections(200)
        assert (await session.run(ModelRequest(MODEL, {}))).outputs
    assert len(server.ledger.tasks) == 1


async def test_a_call_begun_after_another_was_given_up_has_a_patience_of_its_own(server: Emulator) -> None:
    server.refuse_connections(50)
    async with Session(server.api_key, base_url=server.url) as session:
        with pytest.raises(NotSent):
            await session.account()
        assert (await session.account()).key_type


async def test_a_first_file_that_goes_up_slowly_is_not_cut_off(server: Emulator, media: Media) -> None:
    server.faults.add(Fault("slow_response", route="upload", seconds=90))
    async with Session(server.api_key, base_url=server.url) as session:
        assert (await session.upload(media.images[0])).url
    assert len(server.ledger.uploads) == 1


async def test_nothing_asked_is_nothing_unanswered() -> None:
    async with Session("k" * 32, base_url="http://127.0.0.1:9") as session:
        await asyncio.sleep(100)
        assert session.unanswered_for == 0.0
