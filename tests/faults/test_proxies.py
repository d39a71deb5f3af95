"""Proxies of the environment are honoured; passwords of a netrc file go nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import define, field

from rh_async import ModelRequest, Session
from rh_async._http.connection_pools import proxy_from_environment
from rh_async.emulator import Emulator
from rh_async.errors import ConfigurationError
from tests.session.conftest import Media

MODEL = "bench/motion"
_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@define
class Proxy:
    """A plain HTTP proxy that keeps the head of every request."""

    port: int = 0
    heads: list[str] = field(factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode())
        place = head.split(b" ")[1].split(b"/")[2].decode()
        host, _, port = place.rpartition(":")
        upstream, up = await asyncio.open_connection(host, int(port))
        up.write(head)
        there = asyncio.ensure_future(_copied(reader, up))
        await _copied(upstream, writer)
        there.cancel()
        for one in (up, writer):
            one.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    yield proxy
    listener.close()


async def test_no_netrc_is_read(
    server: Emulator, media: Media, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\nmachine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with Session(server.api_key, base_url=server.url, trust_env=True) as session:
        await session.upload(media.images[0])
        result = await session.run(ModelRequest(MODEL, {}), output_dir=tmp_path / "out")
    assert result.paths
    assert server.ledger.key_leaks == []


async def test_the_environments_proxy_carries_every_call(
    server: Emulator, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{proxy.port}")
    async with Session(server.api_key, base_url=server.url, trust_env=True) as session:
        await session.run(ModelRequest(MODEL, {}), output_dir=tmp_path)
    paths = {head.split(" ")[1].removeprefix(server.url).split("?")[0] for head in proxy.heads}
    assert f"/openapi/v2/{MODEL}" in paths  # questions go over the connection of the first
    assert any(path.startswith("/openapi/v2/q") for path in paths)
    assert any(path.startswith("/output/") for path in paths)
    assert all("Proxy-Authorization" in head for head in proxy.heads)


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "localhost,127.0.0.1:{port}"])
async def test_what_the_environment_exempts_goes_straight(
    exempt: str, server: Emulator, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", exempt.format(port=server.port))
    async with Session(server.api_key, base_url=server.url, trust_env=True) as session:
        await session.account()
    assert proxy.heads == []


async def test_without_trust_the_environment_is_not_looked_at(
    server: Emulator, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    async with Session(server.api_key, base_url=server.url) as session:
        await session.account()
    assert proxy.heads == []


def test_the_proxy_is_the_one_of_the_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://one:1")
    assert proxy_from_environment("https://example.test/x") == "http://one:1"
    assert proxy_from_environment("http://example.test/x") is None
    monkeypatch.setenv("all_proxy", "two:2")
    assert proxy_from_environment("http://example.test/x") == "http://two:2"


@pytest.mark.parametrize("proxy", ["", "nowhere", "socks5://127.0.0.1:1080", "http://", "http://x:port"])
def test_a_proxy_that_is_none_is_refused_and_not_shown(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy must look like"):
        Session("k" * 32, proxy=proxy)
