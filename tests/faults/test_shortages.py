"""A machine that lacks descriptors, threads or memory for a connection waits, as it does for a network that is down."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import TraceConfig

from rh_async import ModelRequest, RetryPolicy, Session, SubmitUnknown
from rh_async.emulator import Emulator
from rh_async.errors import NotSent

MODEL = "bench/motion"


def lacking(error: BaseException, act: Callable[..., Any], until: Callable[[], bool]) -> Callable[..., Any]:
    """Fail instead of acting, until there is enough again."""

    def tried(*args: Any, **options: Any) -> Any:
        if until():
            return act(*args, **options)
        raise error

    return tried


SHORTAGES = {
    "descriptors": OSError(errno.EMFILE, "Too many open files"),
    "descriptors of all": OSError(errno.ENFILE, "Too many open files in system"),
    "memory": MemoryError(),
    "buffers": OSError(errno.ENOBUFS, "No buffer space available"),
}


@pytest.mark.parametrize("error", SHORTAGES.values(), ids=SHORTAGES.keys())
async def test_a_connection_that_this_machine_has_no_room_for_is_waited_for(
    error: BaseException, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    async with Session(server.api_key, base_url=server.url) as session:
        monkeypatch.setattr(socket, "socket", lacking(error, socket.socket, lambda: loop.time() > 20))
        result = await session.run(ModelRequest(MODEL, {}))
    assert result.outputs
    assert [submission.at >= 20 for submission in server.ledger.submissions] == [True]


async def test_a_name_that_no_thread_is_left_to_look_up_is_waited_for(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    url = server.url.replace("127.0.0.1", "localhost")
    error = RuntimeError("can't start new thread")
    async with Session(server.api_key, base_url=url) as session:
        monkeypatch.setattr(loop, "getaddrinfo", lacking(error, loop.getaddrinfo, lambda: loop.time() > 20))
        result = await session.run(ModelRequest(MODEL, {}))
    assert result.outputs
    assert len(server.ledger.tasks) == 1


async def test_a_shortage_that_lasts_is_told_as_what_it_is_and_never_arrived(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Session(server.api_key, base_url=server.url, retry=RetryPolicy(give_up_after=5.0)) as session:
        monkeypatch.setattr(socket, "socket", lacking(SHORTAGES["descriptors"], socket.socket, lambda: False))
        for call in (session.account, lambda: session.submit(ModelRequest(MODEL, {}))):
            with pytest.raises(NotSent, match="Too many open files") as caught:
                await call()
            assert not caught.value.maybe_billed
        monkeypatch.undo()
    assert server.ledger.submissions == []


@pytest.mark.parametrize("error", SHORTAGES.values(), ids=SHORTAGES.keys())
async def test_a_shortage_met_once_a_submit_has_left_makes_it_unknown_and_sends_it_no_second_time(
    error: BaseException, server: Emulator
) -> None:
    async def lacks(*_: object) -> None:
        raise error

    trace = TraceConfig()
    trace.on_request_end.append(lacks)
    async with Session(server.api_key, base_url=server.url, trace_configs=[trace]) as session:
        with pytest.raises(SubmitUnknown) as caught:
            await session.submit(ModelRequest(MODEL, {}))
    assert caught.value.maybe_billed
    assert len(server.ledger.submissions) == 1
