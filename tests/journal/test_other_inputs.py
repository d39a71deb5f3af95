"""A key that names a job with other inputs is refused before anything is sent; the old video is not given for it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from rh_async import DreamActor, KlingMotionControl, ModelRequest, Session
from rh_async.emulator import Emulator, Fault
from rh_async.errors import JobFailed, KeyConflict
from rh_async.models.base import Request
from tests.session.conftest import Media

Open = Callable[[], Session]
LINKED = DreamActor("https://example.test/hero.png?sign=1", "https://example.test/dance.mp4?sign=1")


@pytest.fixture
def open_session(server: Emulator, journal_path: Path) -> Open:
    return lambda: Session(server.api_key, base_url=server.url, journal=journal_path)


async def bought(open_session: Open, request: Request) -> None:
    """Buy a job under the key ``scene``."""
    async with open_session() as session:
        assert (await session.run(request, idempotency_key="scene")).outputs


async def refused(open_session: Open, request: Request) -> KeyConflict:
    """Ask for a job under the key ``scene``, and be refused."""
    async with open_session() as session:
        with pytest.raises(KeyConflict) as caught:
            await session.run(request, idempotency_key="scene")
    return caught.value


async def test_another_file_under_the_same_key_is_refused_and_nothing_goes_up(
    open_session: Open, server: Emulator, media: Media
) -> None:
    first = DreamActor(media.images[0], media.videos[0])
    await bought(open_session, first)
    uploads = len(server.ledger.uploads)
    error = await refused(open_session, evolve(first, video=media.videos[1]))
    assert error.key == "scene"
    for words in ("dance0.mp4", "now it is asked for", "dance1.mp4", "another key"):
        assert words in str(error)
    assert "hero0.png" not in str(error)  # which is the same
    assert (len(server.ledger.uploads), len(server.ledger.submissions)) == (uploads, 1)


async def test_a_file_that_was_replaced_under_its_name_is_another_job(
    open_session: Open, server: Emulator, media: Media, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    shutil.copy(media.videos[0], clip)
    await bought(open_session, DreamActor(media.images[0], clip))
    shutil.copy(media.videos[1], clip)
    assert "whose content is another" in str(await refused(open_session, DreamActor(media.images[0], clip)))
    assert len(server.ledger.submissions) == 1


async def test_the_same_file_under_another_name_and_a_link_signed_anew_are_the_same_job(
    open_session: Open, server: Emulator, media: Media, tmp_path: Path
) -> None:
    mixed = DreamActor(media.images[0], "https://example.test/dance.mp4?sign=1")
    await bought(open_session, mixed)
    copied = tmp_path / "copied.png"
    shutil.copy(media.images[0], copied)
    async with open_session() as session:
        result = await session.run(
            DreamActor(copied, "https://example.test/dance.mp4?sign=2#t=1"), idempotency_key="scene"
        )
    assert result.task_id == server.ledger.tasks[0].task_id
    assert len(server.ledger.submissions) == 1


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (evolve(LINKED, video="https://example.test/jump.mp4?sign=1"), "jump.mp4"),
        (KlingMotionControl(LINKED.image, LINKED.video), "the model kling"),
        (
            ModelRequest(LINKED.endpoint, {**LINKED.parameters(), "seed": 7}),
            "no seed; now it is asked for with seed",
        ),
    ],
)
async def test_another_link_model_or_field_is_another_job(
    other: Request, says: str, open_session: Open, server: Emulator
) -> None:
    await bought(open_session, LINKED)
    assert says in str(await refused(open_session, other))
    assert len(server.ledger.submissions) == 1


async def test_a_failed_jobs_error_does_not_name_another_request_with_its_key(
    open_session: Open, server: Emulator
) -> None:
    server.faults.add(Fault("moderation"))
    async with open_session() as session:
        with pytest.raises(JobFailed):
            await session.run(LINKED, idempotency_key="scene")
    other = evolve(LINKED, image="https://example.test/villain.png")
    await refused(open_session, other)
    async with open_session() as session:
        assert (
            await session.run(other, idempotency_key="scene", resubmit=True)
        ).outputs  # knowingly, as the key's next attempt
    assert len(server.ledger.submissions) == 2


@pytest.mark.parametrize("again", [False, True])
async def test_a_key_whose_job_is_being_sent_is_refused_to_another_job(
    again: bool, open_session: Open, server: Emulator
) -> None:
    server.faults.add(Fault("slow_response", route="submit", seconds=5))
    async with open_session() as session, open_session() as beside:
        first = session.submit_nowait(LINKED, idempotency_key="scene")
        await asyncio.sleep(1)
        other = evolve(LINKED, image="https://example.test/villain.png")
        for one in (session, beside):
            with pytest.raises(KeyConflict):
                await one.submit(other, idempotency_key="scene", resubmit=again)
        assert (await first).outputs
    assert len(server.ledger.submissions) == 1


async def test_without_a_journal_a_live_key_is_refused_to_another_job_too(server: Emulator) -> None:
    async with Session(server.api_key, base_url=server.url) as session:
        first = await session.submit(LINKED, idempotency_key="scene")
        with pytest.raises(KeyConflict):
            await session.submit(evolve(LINKED, image="https://example.test/villain.png"), idempotency_key="scene")
        assert (await first).outputs
        assert (
            await session.run(evolve(LINKED, video="https://example.test/jump.mp4"), idempotency_key="scene")
        ).outputs
    assert len(server.ledger.submissions) == 2


async def test_a_row_of_an_older_journal_is_compared_by_the_names_it_kept(
    open_session: Open, server: Emulator, media: Media, journal_path: Path, tmp_path: Path
) -> None:
    first = DreamActor(media.images[0], media.videos[0])
    await bought(open_session, first)
    with sqlite3.connect(journal_path) as db:
        db.execute("UPDATE jobs SET contents = ''")
    db.close()
    assert "dance1.mp4" in str(await refused(open_session, evolve(first, video=media.videos[1])))
    moved = tmp_path / media.videos[0].name
    shutil.copy(media.videos[0], moved)
    async with open_session() as session:
        assert (await session.run(evolve(first, video=moved), idempotency_key="scene")).outputs
    assert len(server.ledger.submissions) == 1


async def test_a_derived_key_of_an_older_journal_stands_for_its_content_whatever_the_files_are_called_now(
    open_session: Open, server: Emulator, media: Media, journal_path: Path, tmp_path: Path
) -> None:
    async with open_session() as session:
        first = await session.run(DreamActor(media.images[0], media.videos[0]))
    with sqlite3.connect(journal_path) as db:
        db.execute("UPDATE jobs SET contents = ''")
    db.close()
    renamed = tmp_path / "renamed.mp4"
    shutil.copy(media.videos[0], renamed)
    async with open_session() as session:
        assert (await session.run(DreamActor(media.images[0], renamed))).task_id == first.task_id
    assert len(server.ledger.submissions) == 1
