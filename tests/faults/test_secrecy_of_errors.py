"""What a crash reporter would send of an error holds no key: its chain, its attributes, the locals of its frames."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import TraceConfig

from rh_async import DreamActor, JournalError, ModelRequest, RetryPolicy, RHError, Session, Timeouts
from rh_async.emulator import Emulator, Fault
from rh_async.errors import ConfigurationError
from tests.session.conftest import Media

MODEL = "bench/motion"
IMPATIENT = RetryPolicy(give_up_after=0.0)
QUICK = Timeouts(connect=1.0, read=2.0, stall=1.0)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and whatever is chained to it, told or not."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else []
        waiting += getattr(one, "earlier", ())


def shown(value: object, depth: int = 0) -> Iterator[str]:
    """A value as reporters show it: its repr, and what is in it where it is a container or an error's attribute."""
    yield repr(value)
    if isinstance(value, Mapping) and depth < 4:
        for key, one in value.items():
            yield from shown(key, depth + 1)
            yield from shown(one, depth + 1)
    elif isinstance(value, list | tuple | set) and depth < 4:
        for one in value:
            yield from shown(one, depth + 1)
    elif depth < 4 and type(value).__module__.startswith(("aiohttp", "multidict", "yarl")):
        for name in ("headers", "request_info", "args", "_headers", "proxy_auth", "proxy_headers"):
            if hasattr(value, name):
                yield from shown(getattr(value, name), depth + 1)


def reported(error: BaseException) -> Iterator[str]:
    """All of it, but what the test itself holds."""
    for one in chain(error):
        yield from (str(one), repr(one))
        yield from shown(vars(one))
        yield from shown(one.args)
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                for name, value in frame.f_locals.items():
                    yield from (
                        f"{frame.f_code.co_filename}:{frame.f_code.co_name} {name} = {text}" for text in shown(value)
                    )


def assert_secret(error: BaseException, key: str) -> None:
    assert [text[:300] for text in reported(error) if key in text] == []


async def failure(session: Session, route: str, media: Media) -> RHError:
    """How a call of a route fails."""
    with pytest.raises(RHError) as caught:
        if route == "submit":
            await session.submit(ModelRequest(MODEL, {}))
        elif route == "upload":
            await session.upload(media.images[0])
        elif route == "account":
            await session.account()
        elif route == "cancel":
            await session.cancel("12")
        else:
            await session.get_status("12")
    return caught.value


@pytest.mark.parametrize("route", ["submit", "upload", "account", "query", "cancel"])
@pytest.mark.parametrize(
    "kind", ["refuse_connections", "drop_before_body", "drop_mid_response", "hang", "gateway_502", "invalid_body"]
)
async def test_no_error_of_the_network_holds_the_key(kind: Any, route: Any, server: Emulator, media: Media) -> None:
    async with Session(server.api_key, base_url=server.url, retry=IMPATIENT, timeouts=QUICK) as session:
        server.faults.add(Fault(kind, route=route, times=None, seconds=9e9))
        error = await failure(session, route, media)
    assert_secret(error, server.api_key)


@pytest.mark.parametrize("route", ["submit", "upload", "account", "query", "cancel"])
async def test_no_error_over_what_is_no_http_holds_the_key(route: str, server: Emulator, media: Media) -> None:
    listener = await asyncio.start_server(_no_http, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with Session(server.api_key, base_url=url, retry=IMPATIENT, timeouts=QUICK) as session:
        error = await failure(session, route, media)
    listener.close()
    assert "Bad status line" in str(error)
    assert_secret(error, server.api_key)


async def _no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("route", ["submit", "account"])
@pytest.mark.parametrize(
    "hook",
    ["on_request_start", "on_connection_create_start", "on_request_headers_sent", "on_request_end"],
)
async def test_a_trace_hook_that_raises_fails_that_call_and_not_the_session(
    hook: str, route: str, server: Emulator, media: Media
) -> None:
    trouble: list[Exception] = [ZeroDivisionError("in a hook"), KeyError("in a hook")]

    async def raises(_: object, __: SimpleNamespace, params: Any) -> None:
        if trouble:
            raise trouble.pop()

    trace = TraceConfig()
    getattr(trace, hook).append(raises)
    async with Session(server.api_key, base_url=server.url, trace_configs=[trace]) as session:
        error = await failure(session, route, media)
        assert "hook" in str(error)
        assert any(isinstance(one, KeyError) for one in chain(error))
        assert_secret(error, server.api_key)
        trouble.clear()
        assert (await session.run(ModelRequest(MODEL, {}))).outputs
    left = route == "submit" and hook in {"on_request_headers_sent", "on_request_end"}
    assert error.maybe_billed == left
    assert len(server.ledger.tasks) <= 1 + left


async def test_no_refusal_of_a_setting_holds_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "0123456789abcdef" * 2
    for settings in ({"base_url": "ftp://nowhere"}, {"in_flight": 0}, {"on_exit": "never"}, {"proxy": "socks5://x"}):
        with pytest.raises(ConfigurationError) as caught:
            Session(key, **settings)
        assert_secret(caught.value, key)
    monkeypatch.setenv("RUNNINGHUB_API_KEY", f"{key} and more")
    with pytest.raises(ConfigurationError) as caught:
        Session()
    assert_secret(caught.value, key)
    monkeypatch.setenv("RUNNINGHUB_API_KEY", key)
    with pytest.raises(ConfigurationError) as caught:
        Session(base_url="ftp://nowhere")
    assert_secret(caught.value, key)


async def test_no_error_of_the_journal_holds_the_key(server: Emulator, tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"no database" * 1000)
    with pytest.raises(JournalError) as caught:
        async with Session(server.api_key, base_url=server.url, journal=tmp_path / "journal.db"):
            pass
    assert_secret(caught.value, server.api_key)


async def test_no_crash_holds_the_key(server: Emulator, media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(RHError) as closing:
        async with Session(server.api_key, base_url=server.url) as session:
            job = await session.submit(DreamActor(media.images[0], media.videos[0]))
            monkeypatch.setattr("rh_async._polling.scheduler.PollScheduler.next_poll", broken)
            with pytest.raises(RHError) as caught:
                await job
    assert_secret(caught.value, server.api_key)
    assert_secret(closing.value, server.api_key)


async def test_a_key_that_is_planted_in_a_frame_is_found(server: Emulator) -> None:
    headers = {"Authorization": f"Bearer {server.api_key}"}
    code = compile("def fail(headers):\n    raise ValueError('harmless')\n", "/somewhere/else.py", "exec")
    space: dict[str, Any] = {}
    exec(code, space)  # noqa: S102 - a frame that is not the test's own
    with pytest.raises(ValueError, match="harmless") as caught:
        space["fail"](headers)
    assert any(server.api_key in text for text in reported(caught.value))
