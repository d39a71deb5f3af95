"""How often a clip is looked up and opened on its way from the command line to the server: each time for a reason.

Every path has the two opens that cannot be spared: one to hash the clip, since the key and the upload cache need the
hash before anything is sent, and one to send it. Each ``stat`` stands before a step that costs money, and finds out
that the clip has not changed since it was hashed.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path

import pytest

from rh_async import DreamActor, Session
from rh_async.batch import LocalFiles, plan_folder
from rh_async.emulator import Emulator
from tests.cli.conftest import Shell
from tests.file_access import file_access

pytestmark = pytest.mark.quick


async def test_a_session_opens_a_file_to_hash_and_to_send_it(
    site: Emulator, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lookups: at the start, and once more before the upload, which may have waited for minutes."""
    clip = desk / "dance.mp4"
    async with Session(site.api_key, base_url=site.url) as session:
        with file_access(clip, monkeypatch) as access:
            await session.run(DreamActor(desk / "hero.png", clip))
            assert (access.stats, access.opens) == (2, 2), access.where
            await session.run(DreamActor(desk / "hero.png", clip), idempotency_key="another")
            assert (access.stats, access.opens) == (3, 2), access.where
    assert len(site.ledger.uploads) == 2


async def test_the_run_command_opens_a_file_as_often_as_a_session_does(
    site: Emulator, desk: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lookups more: when the command checks its arguments, and when it derives the key for the journal."""
    with file_access(desk / "dance.mp4", monkeypatch) as access:
        ended = await shell("run hero.png dance.mp4 -o out")
    assert ended.code == 0
    assert (access.stats, access.opens) == (4, 2), access.where


async def test_a_batch_opens_a_file_once_more_to_probe_it(
    site: Emulator, desk: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Probing reads with the media extra's libraries, which seek as they like: hashing cannot share that pass.

    Lookups: the plan, the price quote and its upload, the look at the journal for the estimate and again before the
    purchase, and the submission.
    """
    (desk / "clips").mkdir()
    clip = (desk / "dance.mp4").rename(desk / "clips" / "dance.mp4")
    with file_access(clip, monkeypatch) as access:
        ended = await shell("batch clips --image hero.png -o out")
    assert ended.code == 0
    assert (access.stats, access.opens) == (6, 3), access.where


async def test_a_run_does_not_hash_what_its_plan_has_hashed(
    site: Emulator, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clips of one size are hashed while planning, to find duplicates."""
    (desk / "clips").mkdir()
    clip = (desk / "dance.mp4").rename(desk / "clips" / "dance.mp4")
    (desk / "clips" / "other.mp4").write_bytes(clip.read_bytes()[:-1] + b"\1")
    with file_access(clip, monkeypatch) as access:
        plan = await plan_folder(desk / "clips", desk / "hero.png", make=DreamActor)
        assert (access.stats, access.opens) == (1, 2), access.where
        async with Session(site.api_key, base_url=site.url) as session:
            outcomes = [outcome async for outcome in session.batch(plan, desk / "out")]
        assert access.opens == 3, access.where
    assert [outcome.state for outcome in outcomes] == ["saved", "saved"]


async def test_a_clip_that_changed_after_planning_is_read_anew(site: Emulator, desk: Path) -> None:
    """Its old hash would name, and pay for, another job than the one that is sent."""
    (desk / "clips").mkdir()
    clip = (desk / "dance.mp4").rename(desk / "clips" / "dance.mp4")
    (desk / "clips" / "other.mp4").write_bytes(clip.read_bytes()[:-1] + b"\1")
    plan = await plan_folder(desk / "clips", desk / "hero.png", make=DreamActor)
    clip.write_bytes(clip.read_bytes()[:-1] + b"\2")
    async with Session(site.api_key, base_url=site.url, journal=desk / "journal.db") as session:
        outcomes = [outcome async for outcome in session.batch(plan, desk / "out")]
    assert [outcome.state for outcome in outcomes] == ["saved", "saved"]
    assert sha256(clip.read_bytes()).hexdigest() in {upload.sha256 for upload in site.ledger.uploads}
    assert len(site.ledger.submissions) == 2


async def test_files_given_to_a_session_are_not_hashed_again_unless_they_changed(
    site: Emulator, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, files = desk / "dance.mp4", LocalFiles()
    file = await asyncio.to_thread(files.read, clip)
    async with Session(site.api_key, base_url=site.url, files=files) as session:
        with file_access(clip, monkeypatch) as access:
            assert (await session.upload(clip)).sha256 == file.sha256
            assert access.opens == 1, access.where
            clip.write_bytes(clip.read_bytes() + b"\0")
            changed = await session.upload(clip)
    assert changed.sha256 == sha256(clip.read_bytes()).hexdigest()
    assert len(site.ledger.uploads) == 2
