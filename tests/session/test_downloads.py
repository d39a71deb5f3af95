"""Saving outputs: whole files or none, names from the task, expired links replaced."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve

from rh_async import DreamActor, Output, Result, SaveError, Session, TaskId, Usage
from rh_async.emulator import Emulator
from rh_async.errors import NotFound
from rh_async.events import Downloading, Event, Saved
from tests.media import made_of
from tests.session.conftest import Media

pytestmark = pytest.mark.quick


async def test_outputs_are_saved_under_the_tasks_name(session: Session, media: Media, tmp_path: Path) -> None:
    result = await session.run(DreamActor(media.images[0], media.videos[0]), output_dir=tmp_path / "new" / "folder")
    assert result.paths == (tmp_path / "new" / "folder" / f"{result.task_id}_0.mp4",)
    assert result.paths[0].read_bytes() == made_of(media.videos[0], result.task_id)
    assert [path.name for path in result.paths[0].parent.iterdir()] == [result.paths[0].name]


async def test_an_existing_file_stays_unless_overwrite_is_set(
    server: Emulator, session: Session, media: Media, tmp_path: Path
) -> None:
    result = await session.run(DreamActor(media.images[0], media.videos[0]))
    (path,) = await session.save(result, tmp_path)
    path.write_bytes(b"mine")
    assert await session.save(result, tmp_path) == (path,)
    assert path.read_bytes() == b"mine"
    assert len(server.ledger.downloads) == 1
    await session.save(result, tmp_path, overwrite=True)
    assert path.read_bytes() == made_of(media.videos[0], result.task_id)


async def test_an_expired_link_is_replaced_by_a_fresh_one(
    server: Emulator, session: Session, media: Media, tmp_path: Path
) -> None:
    result = await session.run(DreamActor(media.images[0], media.videos[0]))
    await asyncio.sleep(86400 + 1)
    (path,) = await session.save(result, tmp_path)
    assert path.read_bytes() == made_of(media.videos[0], result.task_id)
    assert [download.status for download in server.ledger.downloads] == [403, 200]
    assert len(server.ledger.tasks) == 1


async def test_an_output_that_the_server_no_longer_has_raises_not_found(
    server: Emulator, session: Session, tmp_path: Path
) -> None:
    gone = Result(
        task_id=TaskId("1999999999999999999"),
        outputs=(Output(url=f"{server.url}/output/1999999999999999999/video.mp4", type="mp4"),),
        usage=Usage(),
        noticed_utc=datetime(2026, 1, 1, tzinfo=UTC),
    )
    with pytest.raises(NotFound, match="1004"):
        await session.save(gone, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_names_never_come_from_the_server(session: Session, media: Media, tmp_path: Path) -> None:
    result = await session.run(DreamActor(media.images[0], media.videos[0]))
    hostile = evolve(result, outputs=(evolve(result.outputs[0], type="../../x/y.sh"), Output(text="said", type="")))
    paths = await session.save(hostile, tmp_path)
    assert [path.name for path in paths] == [f"{result.task_id}_0.mp4", f"{result.task_id}_1.txt"]
    assert paths[1].read_text() == "said"
    assert {path.parent for path in paths} == {tmp_path}


async def test_saving_twice_at_once_leaves_one_whole_file(session: Session, media: Media, tmp_path: Path) -> None:
    result = await session.run(DreamActor(media.images[0], media.videos[0]))
    await asyncio.gather(*(session.save(result, tmp_path) for _ in range(5)))
    assert [path.name for path in tmp_path.iterdir()] == [f"{result.task_id}_0.mp4"]


async def test_a_folder_that_cannot_be_written_is_a_save_error(session: Session, media: Media, tmp_path: Path) -> None:
    result = await session.run(DreamActor(media.images[0], media.videos[0]))
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="cannot be written") as caught:
        await session.save(result, tmp_path / "file")
    assert caught.value.maybe_billed
    assert isinstance(caught.value, OSError)


async def test_a_failing_disk_leaves_no_part_file(
    session: Session, media: Media, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    result = await session.run(DreamActor(media.images[0], media.videos[0]))
    with monkeypatch.context() as patch:
        patch.setattr("rh_async._transfer.part_file.os.fsync", full)
        with pytest.raises(SaveError, match="No space left on device"):
            await session.save(result, tmp_path)
        with pytest.raises(SaveError, match="No space left on device"):
            await session.save(evolve(result, outputs=(Output(text="said"),)), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert await session.save(result, tmp_path)


async def test_a_cancelled_save_leaves_no_part_file(server: Emulator, media: Media, tmp_path: Path) -> None:
    saving: list[asyncio.Task[object]] = []

    def give_up(event: Event) -> None:
        if isinstance(event, Downloading):
            saving[0].cancel()

    async with Session(server.api_key, base_url=server.url, on_event=give_up) as session:
        result = await session.run(DreamActor(media.images[0], media.videos[0]))
        saving.append(asyncio.create_task(session.save(result, tmp_path)))
        with pytest.raises(asyncio.CancelledError):
            await saving[0]
    assert list(tmp_path.iterdir()) == []
    assert len(server.ledger.tasks) == 1


async def test_progress_and_the_saved_files_are_emitted_as_events(
    server: Emulator, media: Media, tmp_path: Path
) -> None:
    events: list[Event] = []
    async with Session(server.api_key, base_url=server.url, on_event=events.append) as session:
        result = await session.run(DreamActor(media.images[0], media.videos[0]), output_dir=tmp_path)
    size = len(made_of(media.videos[0], result.task_id))
    assert [event for event in events if isinstance(event, Downloading)] == [
        Downloading(task_id=result.task_id, bytes=size, total=size)
    ]
    assert events[-1] == Saved(task_id=result.task_id, paths=result.paths)
    kinds = [type(event).__name__ for event in events]
    assert [kind for n, kind in enumerate(kinds) if kind not in kinds[:n]] == [
        *("Uploading", "Uploaded", "Submitted", "Changed", "Settled", "Downloading", "Saved")
    ]
