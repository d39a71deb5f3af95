"""A gap in time, of a stopped process or a sleeping machine, ends no call whose answer has come."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rh_async import ModelRequest, RetryPolicy, Session, SubmitUnknown, Timeouts
from rh_async.errors import ResponseLost
from tests.virtual_clock import VirtualClockLoop

MODEL = "bench/motion"
ACCEPTED = {"taskId": "2013508786110730241", "status": "RUNNING", "errorCode": "", "errorMessage": "", "results": None}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen as a server that answers when the test does, whatever the loop's clock shows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


async def request_of(listener: socket.socket) -> socket.socket:
    """Return the connection of a request whose headers, at least, have come."""
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(listener)
    while b"\r\n\r\n" not in await loop.sock_recv(connection, 65536):
        pass
    return connection


def answer(connection: socket.socket, body: object) -> None:
    text = json.dumps(body).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    connection.sendall(head % len(text) + text)


def sleep_through(seconds: float) -> None:
    """Let time pass as it does for a process that is stopped."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    loop._now += seconds


@pytest.mark.parametrize("seconds", [61.0, 76.0, 4000.0])
async def test_an_answer_that_came_during_a_gap_is_read_before_a_submit_counts_as_unknown(
    seconds: float, listener: socket.socket
) -> None:
    async with Session("k" * 32, base_url=url(listener)) as session:
        job = session.submit_nowait(ModelRequest(MODEL, {}))
        connection = await request_of(listener)
        answer(connection, ACCEPTED)
        sleep_through(seconds)
        assert await job.accepted() == ACCEPTED["taskId"]
        connection.close()


async def test_an_answer_that_comes_a_moment_after_a_gap_is_waited_for(listener: socket.socket) -> None:
    async with Session("k" * 32, base_url=url(listener)) as session:
        job = session.submit_nowait(ModelRequest(MODEL, {}))
        connection = await request_of(listener)
        sleep_through(4000.0)
        await asyncio.sleep(3.0)  # the other side's network sends it again
        answer(connection, ACCEPTED)
        assert await job.accepted() == ACCEPTED["taskId"]
        connection.close()


async def test_without_an_answer_a_gap_delays_the_time_out_a_little_and_not_for_ever(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    async with Session("k" * 32, base_url=url(listener)) as session:
        job = session.submit_nowait(ModelRequest(MODEL, {}))
        connection = await request_of(listener)
        sleep_through(100.0)
        began = loop.time()
        with pytest.raises(SubmitUnknown):
            await job.accepted()
        assert loop.time() - began <= 6.0
        connection.close()


@pytest.mark.parametrize("read", [1.0, 60.0])
async def test_a_call_that_is_not_answered_ends_with_its_time_out(read: float, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    options = {"timeouts": Timeouts(connect=5.0, read=read), "retry": RetryPolicy(give_up_after=0.0)}
    async with Session("k" * 32, base_url=url(listener), **options) as session:  # type: ignore[arg-type]
        for call, most in ((session.account, 29.0), (lambda: session.submit(ModelRequest(MODEL, {})), read)):
            began, expected = loop.time(), min(read, most)  # a server that never answered has less time for a question
            with pytest.raises((ResponseLost, SubmitUnknown)):
                await call()
            assert expected <= loop.time() - began <= expected + 0.2


_CLIENT = """
import asyncio, sys
from rh_async import ModelRequest, PollingPolicy, Session, Timeouts

async def main(url, key):
    timeouts = Timeouts(connect=1.0, read=2.0)
    async with Session(key, base_url=url, in_flight=8, timeouts=timeouts) as session:
        jobs = [session.submit_nowait(ModelRequest("bench/motion", {"seed": n})) for n in range(8)]
        print("sent", flush=True)
        for job in jobs:
            try:
                await job.accepted()
                print("accepted", flush=True)
            except Exception as error:
                print(type(error).__name__, error, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.processes
def test_a_stopped_process_that_goes_on_knows_its_submitted_tasks(tmp_path: Path) -> None:
    said = asyncio.run(_stopped_and_continued(tmp_path))
    assert said == ["accepted"] * 8


async def _stopped_and_continued(tmp_path: Path) -> list[str]:
    from rh_async.emulator import Emulator, Fault  # noqa: PLC0415 - in real time, here alone

    async with Emulator(seed=1, run_time=60.0) as server:
        server.faults.add(Fault("slow_response", route="submit", seconds=0.5, times=None))
        script = tmp_path / "client.py"
        script.write_text(_CLIENT)
        client = await asyncio.create_subprocess_exec(
            sys.executable, str(script), server.url, server.api_key, stdout=asyncio.subprocess.PIPE
        )
        assert client.stdout is not None
        try:
            assert await client.stdout.readline() == b"sent\n"
            while len(server.ledger.tasks) < 8:  # noqa: ASYNC110 - another process is looked at
                await asyncio.sleep(0.01)
            os.kill(client.pid, signal.SIGSTOP)
            await asyncio.sleep(4.0)  # longer than any of its time-outs; the answers have come meanwhile
            os.kill(client.pid, signal.SIGCONT)
            return [(await client.stdout.readline()).decode().strip() for _ in range(8)]
        finally:
            client.kill()
            await client.wait()
