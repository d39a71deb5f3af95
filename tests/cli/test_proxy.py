"""Proxies: from the environment and from ``--proxy``, for every call of a command."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from rh_async._cli import run
from rh_async._cli.exit_codes import ExitCode, UsageError
from rh_async._cli.options.proxy_option import take_proxy
from tests.cli.conftest import Shell
from tests.raw_server import RawServer, Request, raw_server

_NAMES = "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remove the proxies of the environment, and those that a test sets."""
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
    yield
    for name in _NAMES:
        os.environ.pop(name, None)


async def _account(_request: Request, _writer: asyncio.StreamWriter) -> bytes:
    body = b'{"code":0,"msg":"success","data":{"remainCoins":"1","currentTaskCounts":"0","apiType":"SHARED"}}'
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RawServer]:
    """A proxy that answers in the server's stead."""
    monkeypatch.setenv("RUNNINGHUB_API_KEY", "0" * 32)
    monkeypatch.setenv("RUNNINGHUB_BASE_URL", "http://site.invalid")
    async with raw_server(_account) as server:
        yield server


@pytest.mark.parametrize("how", ["option", "option with =", "environment"])
async def test_every_call_goes_through_the_proxy(
    how: str, proxy: RawServer, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    match how:
        case "option":
            words = take_proxy(["account", "--proxy", proxy.url])
        case "option with =":
            words = take_proxy([f"--proxy={proxy.url}", "account"])
        case _:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            words = ["account"]
    ended = await shell(" ".join(words))
    assert ended.code == 0, ended.err
    assert {request.target.split("/")[2] for request in proxy.requests} == {"site.invalid"}


async def test_no_proxy_is_still_honoured(proxy: RawServer, monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with raw_server(_account) as site:
        monkeypatch.setenv("RUNNINGHUB_BASE_URL", site.url)
        ended = await shell(" ".join(take_proxy(["account", "--proxy", proxy.url])))
    assert ended.code == 0
    assert proxy.requests == []
    assert site.requests


@pytest.mark.parametrize(
    "value", ["", "localhost:3128", "ftp://host:1", "http://", "http://host:x", "http://me:pw@host"]
)
def test_a_bad_proxy_is_rejected_in_one_line_without_showing_it(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"^--proxy must look like http://HOST:PORT; nothing was sent$"):
        take_proxy(["account", "--proxy", value])
    assert run(["account", "--proxy", value]) == ExitCode.USAGE_ERROR
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "pw" not in err
