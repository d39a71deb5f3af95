"""The search for the API key finds one that is planted; that the suite lets none out is asserted after every test."""

from __future__ import annotations

import logging
from pathlib import Path

import aiohttp
import pytest

from rh_async import RHError, Session
from rh_async.emulator import Emulator
from tests.secrets import Watch


async def test_a_planted_key_is_found_wherever_it_is(
    server: Emulator, no_key_gets_out: Watch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = server.api_key
    assert no_key_gets_out.leaks() == []
    with caplog.at_level(logging.INFO):
        logging.getLogger("anywhere").info("%s", key)
    assert len(no_key_gets_out.leaks()) == 1
    error = RHError(f"refused for {key}")
    assert len(no_key_gets_out.leaks()) == 2
    error.add_note("harmless")
    (tmp_path / "notes.txt").write_text(key)
    no_key_gets_out.folder = tmp_path
    assert len(no_key_gets_out.leaks()) == 3
    async with Session("x" * 40, base_url=server.url, on_event=lambda _: None) as session:
        session._lifetime.runtime.notifier(key)  # type: ignore[union-attr, arg-type]
    assert len(no_key_gets_out.leaks()) == 4
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/output/1/x.mp4", headers=headers) as answer:
        assert answer.status >= 400
    assert len(no_key_gets_out.leaks()) == 5
