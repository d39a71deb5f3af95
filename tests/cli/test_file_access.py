"""How often a clip is looked up and opened on its way from the command line to the server: each time for a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from rh_async import DreamActor, Session
from rh_async.emulator import Emulator
from tests.cli.conftest import Shell
from tests.file_access import file_access

pytestmark = pytest.mark.quick


async def test_a_session_stats_a_file_once_and_opens_it_to_hash_and_to_send(
    site: Emulator, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = desk / "dance.mp4"
    async with Session(site.api_key, base_url=site.url) as session:
        with file_access(clip, monkeypatch) as access:
            await session.run(DreamActor(desk / "hero.png", clip))
    assert (access.stats, access.opens) == (2, 2), access.where
    assert len(site.ledger.uploads) == 2


async def test_run(site: Emulator, desk: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with file_access(desk / "dance.mp4", monkeypatch) as access:
        ended = await shell("run hero.png dance.mp4 -o out")
    assert ended.code == 0
    assert (access.stats, access.opens) == (3, 4), access.where


async def test_batch(site: Emulator, desk: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with file_access(desk / "dance.mp4", monkeypatch) as access:
        ended = await shell("batch dance.mp4 --image hero.png -o out")
    assert ended.code == 0
    assert (access.stats, access.opens) == (10, 4), access.where
