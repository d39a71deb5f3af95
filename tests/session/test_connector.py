"""A connector of the caller's own: every call of the API goes through it, and the caller closes it."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from rh_async import DreamActor, ModelRequest, Session, SubmitUnknown
from rh_async.emulator import Emulator
from rh_async.errors import ConfigurationError
from tests.session.conftest import Media


class Directory(AbstractResolver):
    """Resolves every name to one port on this machine, and counts the lookups."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        return [ResolveResult(hostname=host, host="127.0.0.1", port=self.port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is held."""


async def test_every_call_of_the_api_goes_through_the_callers_connector_which_stays_open(
    media: Media, server: Emulator, tmp_path: Path
) -> None:
    names = Directory(urlsplit(server.url).port or 0)
    connector = aiohttp.TCPConnector(resolver=names, force_close=True, use_dns_cache=False)
    async with Session(
        server.api_key, base_url="http://runninghub.internal", connector=connector, allow_private_links=True
    ) as session:
        result = await session.run(DreamActor(media.images[0], media.videos[0]), output_dir=tmp_path)
    assert len(result.paths) == len(server.ledger.tasks) == 1
    seen = len(server.ledger.submissions) + len(server.ledger.calls) + len(server.ledger.uploads)
    assert names.asked == ["runninghub.internal"] * seen
    assert not connector.closed
    await connector.close()


async def test_every_submit_has_a_connection_of_its_own() -> None:
    """On a kept-alive connection that the server has just closed, a paid call would fail after its headers left."""
    ports: list[int] = []

    async def answering(request: web.Request) -> web.Response:
        if request.path.endswith("/own/model") and request.transport is not None:
            ports.append(request.transport.get_extra_info("peername")[1])
        return web.json_response({"taskId": "7", "status": "RUNNING"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answering)
    async with TestServer(app) as site, Session("k" * 32, base_url=str(site.make_url(""))) as session:
        for _ in range(3):
            with suppress(SubmitUnknown):  # all name one task
                await session.submit(ModelRequest("own/model", {}))
    assert len(set(ports)) == len(ports) == 3


async def test_a_connector_that_keeps_connections_is_refused_before_anything_is_sent() -> None:
    async with aiohttp.TCPConnector() as connector:
        with pytest.raises(ConfigurationError, match="must be an aiohttp connector with force_close=True"):
            Session("0" * 32, connector=connector)


@pytest.mark.parametrize("given", [aiohttp.TCPConnector, object(), "tcp"])
def test_a_connector_of_another_type_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^connector = "):
        Session("0" * 32, connector=given)
