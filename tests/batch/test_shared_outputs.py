"""Duplicates share one submit; each has its output under its own name: a link, a copy, or from an earlier folder."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from pathlib import Path

import pytest

from rh_async import Batch, DreamActor, SaveError
from rh_async.batch import BatchOutcome, OutputNaming, Plan, plan_folder
from rh_async.emulator import Emulator, Fault
from tests.batch.makers import film, paint
from tests.batch.running import lines, opened, product, run, states, videos

CLIPS = [f"take{number}" for number in range(8)]


async def eight_equal_clips(folder: Path) -> Plan:
    """Plan eight clips with different names and the same bytes, with one character."""
    clips = folder / "clips"
    clips.mkdir()
    paint(clips / "hero.png", size=(480, 640))
    first = film(clips / "take0.mp4", size=(480, 640))
    for name in CLIPS[1:]:
        (clips / f"{name}.mp4").write_bytes(first.read_bytes())
    return await plan_folder(clips / "*.mp4", clips / "hero.png", make=DreamActor)


def clips_with_outputs(folder: Path, *, out: str = "out") -> list[str]:
    """Return the names of the clips that have an output."""
    return sorted(path.name.partition("__")[0] for path in (folder / out).glob("*.mp4"))


def sidecar(path: Path) -> dict[str, object]:
    values: dict[str, object] = json.loads(path.with_name(f"{path.name}.json").read_text())
    return values


async def run_into(
    server: Emulator, folder: Path, plan: Plan, out: str, naming: OutputNaming | None = None
) -> tuple[list[BatchOutcome], Batch]:
    """Run a plan run_into a folder."""
    async with opened(server, folder) as session:
        batch = session.batch(plan, folder / out, naming=naming)
        return [outcome async for outcome in batch], batch


@pytest.mark.parametrize("template", ["{clip}__{character}__{task_id}.mp4", "{clip}.mp4", "{number:02}.mp4"])
async def test_eight_names_of_the_same_clip_are_submitted_once_and_each_has_its_own_output(
    tmp_path: Path, template: str
) -> None:
    plan, naming = await eight_equal_clips(tmp_path), OutputNaming(template)
    async with Emulator(seed=1) as server:
        outcomes = await run(server, tmp_path, plan, naming=naming)
        assert states(outcomes) == {"saved": 8}
        assert len(server.ledger.submissions) == len(server.ledger.downloads) == 1
        paths = [outcome.paths[0] for outcome in outcomes]
        assert len(set(paths)) == len(videos(tmp_path)) == 8
        assert len({path.read_bytes() for path in paths}) == len({path.stat().st_ino for path in paths}) == 1
        assert {_clip_of(path) for path in paths} == {str(entry.clip) for entry in plan.ready}
        assert {line["path"] for line in lines(tmp_path)} == {str(path) for path in paths}
        before = len(server.ledger.downloads), {path: path.stat().st_mtime_ns for path in paths}
        again = await run(server, tmp_path, plan, naming=naming)
        assert states(again) == {"already_done": 8}
        assert {outcome.paths[0] for outcome in again} == set(paths)
        assert before == (len(server.ledger.downloads), {path: path.stat().st_mtime_ns for path in paths})
        assert len(server.ledger.submissions) == 1
    assert len(lines(tmp_path)) == len(videos(tmp_path)) == 8


def _clip_of(path: Path) -> str:
    request = sidecar(path)["request"]
    assert isinstance(request, dict)
    return str(request["videoUrl"])


@pytest.mark.parametrize("gone", [0, 5])
@pytest.mark.parametrize("without_sidecar", [True, False])
async def test_a_deleted_duplicate_comes_back_without_a_submit_or_a_download(
    tmp_path: Path, gone: int, without_sidecar: bool
) -> None:
    plan = await eight_equal_clips(tmp_path)
    async with Emulator(seed=1) as server:
        await run(server, tmp_path, plan)
        (path,) = (tmp_path / "out").glob(f"take{gone}__*.mp4")
        path.unlink()
        if without_sidecar:
            path.with_name(f"{path.name}.json").unlink()
        server.faults.add(Fault("expired_link", route="download", status=404, times=None))  # a day later
        outcomes = await run(server, tmp_path, plan)
        assert states(outcomes) == {"already_done": 7, "saved": 1}
        assert clips_with_outputs(tmp_path) == CLIPS
        assert len(server.ledger.submissions) == len(server.ledger.downloads) == 1
        assert _clip_of(path).endswith(f"take{gone}.mp4")


async def test_a_duplicate_that_is_added_later_gets_its_own_output_and_line_without_a_submit(tmp_path: Path) -> None:
    plan = await eight_equal_clips(tmp_path)
    async with Emulator(seed=1) as server:
        await run(server, tmp_path, Plan(entries=plan.entries[:3]))
        assert clips_with_outputs(tmp_path) == CLIPS[:3]
        assert states(await run(server, tmp_path, Plan(entries=plan.entries[::-1]))) == {"saved": 5, "already_done": 3}
        assert len(server.ledger.submissions) == len(server.ledger.downloads) == 1
    assert clips_with_outputs(tmp_path) == CLIPS
    assert sorted(line["clip"] for line in lines(tmp_path)) == CLIPS


async def test_outputs_are_copied_where_a_disk_has_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    plan = await eight_equal_clips(tmp_path)
    monkeypatch.setattr(os, "link", refuse)
    async with Emulator(seed=1) as server:
        outcomes = await run(server, tmp_path, plan)
        assert states(outcomes) == {"saved": 8}
        assert len(server.ledger.downloads) == 1
    paths = [outcome.paths[0] for outcome in outcomes]
    assert len({path.stat().st_ino for path in paths}) == 8
    assert len({path.read_bytes() for path in paths}) == 1
    assert not list((tmp_path / "out").glob(".*"))


async def test_overwriting_one_output_leaves_its_hard_links_unchanged(tmp_path: Path) -> None:
    plan = await eight_equal_clips(tmp_path)
    async with Emulator(seed=1) as server:
        outcomes = await run(server, tmp_path, plan)
        first, *others = sorted(outcome.paths[0] for outcome in outcomes)
        content = first.read_bytes()
        for path in others:  # what a later tool writes in its place, as downloads do: content, and by a new name
            assert path.samefile(first)
        result = next(outcome.result for outcome in outcomes if outcome.result is not None)
        async with opened(server, tmp_path) as session:
            assert session._lifetime.runtime is not None
            await session._lifetime.runtime.services.calls.save(
                result, tmp_path / "out", overwrite=True, name=lambda *_: first.name
            )
        assert not first.samefile(others[0])
        assert {path.read_bytes() for path in (first, *others)} == {content}
        assert len(server.ledger.downloads) == 2


def let_the_disk_be_full(patch: pytest.MonkeyPatch) -> None:
    """Let no file be completed in an output folder; the emulator's own files are not affected."""
    content = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if path.parent.name == "out":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return content(path, target)

    patch.setattr(Path, "replace", replace)


async def test_an_error_about_a_full_disk_names_each_jobs_own_file(
    stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_the_disk_be_full(monkeypatch)
    async with Emulator(seed=1, run_time=100.0) as server:
        outcomes = await run(server, tmp_path, await product(stock))
        failed = [outcome for outcome in outcomes if outcome.state == "save_failed"]
        assert len(failed) == len(server.ledger.tasks) == 9
    for outcome in failed:
        assert isinstance(outcome.error, SaveError)
        assert outcome.task_id is not None
        assert outcome.error.task_id == outcome.task_id
        assert f"__{outcome.task_id}.mp4" in outcome.error.message
        assert "No space left on device" in outcome.error.message


async def test_an_error_about_a_full_disk_names_each_duplicates_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = await eight_equal_clips(tmp_path)
    async with Emulator(seed=1) as server:
        with monkeypatch.context() as full:
            let_the_disk_be_full(full)
            outcomes = await run(server, tmp_path, plan)
        assert {outcome.entry.number for outcome in outcomes if outcome.state == "save_failed"} == set(range(1, 9))
        for outcome in outcomes:
            assert outcome.error is not None
            assert f"take{outcome.entry.number - 1}__hero__" in outcome.error.message
        assert states(await run(server, tmp_path, plan)) == {"saved": 8}
        assert len(server.ledger.submissions) == 1


# --- saved in another folder -----------------------------------------------------------------------------------------


async def test_outputs_in_another_folder_are_linked_into_this_one_without_a_submit_or_a_download(
    stock: Path, tmp_path: Path
) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        await run_into(server, tmp_path, plan, "old")
        outcomes, _ = await run_into(server, tmp_path, plan, "new")
        assert states(outcomes) == {"saved": 9}
        assert {path.parent for outcome in outcomes for path in outcome.paths} == {tmp_path / "new"}
        assert all(sidecar(path)["task_id"] == outcome.task_id for outcome in outcomes for path in outcome.paths)
        assert len(server.ledger.submissions) == len(server.ledger.downloads) == 9
        for out in ("new", "old"):
            assert states((await run_into(server, tmp_path, plan, out))[0]) == {"already_done": 9}
        assert len(server.ledger.submissions) == len(server.ledger.downloads) == 9
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        path.name for path in (tmp_path / "old").iterdir()
    )


async def test_an_output_that_is_missing_or_cut_in_the_other_folder_is_downloaded_again(
    stock: Path, tmp_path: Path
) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        await run_into(server, tmp_path, plan, "old")
        deleted, cut = sorted((tmp_path / "old").glob("*.mp4"))[:2]
        content = cut.read_bytes()
        deleted.unlink()
        cut.write_bytes(content[: len(content) // 2])
        outcomes, _ = await run_into(server, tmp_path, plan, "new")
        assert states(outcomes) == {"saved": 9}
        assert len(server.ledger.downloads) == 11
        assert len(server.ledger.submissions) == 9
    assert (tmp_path / "new" / cut.name).read_bytes() == content


async def test_an_error_about_an_expired_link_names_where_the_deleted_output_was(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        first, _ = await run_into(server, tmp_path, plan, "old")
        deleted = first[0].paths[0]
        deleted.unlink()
        server.faults.add(Fault("expired_link", route="download", status=404, times=None))
        outcomes, batch = await run_into(server, tmp_path, plan, "new")
        assert states(outcomes) == {"saved": 8, "save_failed": 1}
        (failed,) = (outcome for outcome in outcomes if outcome.state == "save_failed")
        assert str(deleted) in str(failed.error)
        assert "not there any more" in str(failed.error)
        assert batch.stopped is None
        assert len(server.ledger.submissions) == 9


# --- part files of killed runs ----------------------------------------------------------------------------------------


async def test_part_files_of_a_killed_run_are_removed_and_files_of_other_programs_stay(
    stock: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ours = [out / f".clip__hero__1.mp4.{'ab' * 6}-7.part", out / ".clip__hero__1.mp4.json.0123abcd.part"]
    foreign = [out / "clip.part", out / ".hidden.mp4.part", out / ".clip.mp4.0123abcd.party"]
    fresh = out / f".clip__hero__2.mp4.{'cd' * 6}-0.part"
    for path in (*ours, *foreign, fresh):
        path.write_bytes(b"half")
        if path != fresh:
            os.utime(path, (time.time() - 60, time.time() - 60))
    async with Emulator(seed=1) as server:
        assert states(await run(server, tmp_path, await product(stock))) == {"saved": 9}
    assert [path for path in ours if path.exists()] == []
    assert all(path.exists() for path in (*foreign, fresh))


async def test_a_part_file_that_another_run_still_writes_is_left_alone(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1, run_time=100.0) as server:
        server.faults.add(Fault("slow_response", route="download", seconds=20.0, times=None))
        async with opened(server, tmp_path) as session:
            running = asyncio.create_task(_read(session.batch(plan, tmp_path / "out")))
            while not (parts := list((tmp_path / "out").glob(".*.part"))):  # noqa: ASYNC110 - a folder has no event to wait for
                await asyncio.sleep(1)
            for part in parts:
                os.utime(part, (time.time() - 3600, time.time() - 3600))
            await run(server, tmp_path, Plan(entries=()))
            assert [part for part in parts if not part.exists()] == []
            assert states(await running) == {"saved": 9}


async def _read(batch: Batch) -> list[BatchOutcome]:
    return [outcome async for outcome in batch]
