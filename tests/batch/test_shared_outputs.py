"""One purchase, many names: each wanted output is there under its own, by a link, a copy, or from an earlier folder."""

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

EIGHT = [f"take{number}" for number in range(8)]


async def alike(folder: Path) -> Plan:
    """Eight clips with other names and the same bytes, with one character."""
    clips = folder / "clips"
    clips.mkdir()
    paint(clips / "hero.png", size=(480, 640))
    first = film(clips / "take0.mp4", size=(480, 640))
    for name in EIGHT[1:]:
        (clips / f"{name}.mp4").write_bytes(first.read_bytes())
    return await plan_folder(clips / "*.mp4", clips / "hero.png", make=DreamActor)


def taken(folder: Path, *, out: str = "out") -> list[str]:
    """The clips that there are videos of."""
    return sorted(path.name.partition("__")[0] for path in (folder / out).glob("*.mp4"))


def story(path: Path) -> dict[str, object]:
    told: dict[str, object] = json.loads(path.with_name(f"{path.name}.json").read_text())
    return told


async def into(
    server: Emulator, folder: Path, plan: Plan, out: str, naming: OutputNaming | None = None
) -> tuple[list[BatchOutcome], Batch]:
    """Run a plan into a folder."""
    async with opened(server, folder) as session:
        batch = session.batch(plan, folder / out, naming=naming)
        return [outcome async for outcome in batch], batch


@pytest.mark.parametrize("template", ["{clip}__{character}__{task_id}.mp4", "{clip}.mp4", "{number:02}.mp4"])
async def test_eight_names_of_the_same_clip_are_bought_once_and_each_has_its_own_output(
    tmp_path: Path, template: str
) -> None:
    plan, naming = await alike(tmp_path), OutputNaming(template)
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
    request = story(path)["request"]
    assert isinstance(request, dict)
    return str(request["videoUrl"])


@pytest.mark.parametrize("gone", [0, 5])
@pytest.mark.parametrize("with_story", [True, False])
async def test_a_name_that_was_deleted_comes_back_without_buying_or_fetching(
    tmp_path: Path, gone: int, with_story: bool
) -> None:
    plan = await alike(tmp_path)
    async with Emulator(seed=1) as server:
        await run(server, tmp_path, plan)
        (path,) = (tmp_path / "out").glob(f"take{gone}__*.mp4")
        path.unlink()
        if with_story:
            path.with_name(f"{path.name}.json").unlink()
        server.faults.add(Fault("expired_link", route="download", status=404, times=None))  # a day later
        outcomes = await run(server, tmp_path, plan)
        assert states(outcomes) == {"already_done": 7, "saved": 1}
        assert taken(tmp_path) == EIGHT
        assert len(server.ledger.submissions) == len(server.ledger.downloads) == 1
        assert _clip_of(path).endswith(f"take{gone}.mp4")


async def test_a_clip_that_is_added_later_gets_its_own_name_and_line_for_nothing(tmp_path: Path) -> None:
    plan = await alike(tmp_path)
    async with Emulator(seed=1) as server:
        await run(server, tmp_path, Plan(entries=plan.entries[:3]))
        assert taken(tmp_path) == EIGHT[:3]
        assert states(await run(server, tmp_path, Plan(entries=plan.entries[::-1]))) == {"saved": 5, "already_done": 3}
        assert len(server.ledger.submissions) == len(server.ledger.downloads) == 1
    assert taken(tmp_path) == EIGHT
    assert sorted(line["clip"] for line in lines(tmp_path)) == EIGHT


async def test_where_a_disk_knows_no_hard_links_outputs_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    plan = await alike(tmp_path)
    monkeypatch.setattr(os, "link", refuse)
    async with Emulator(seed=1) as server:
        outcomes = await run(server, tmp_path, plan)
        assert states(outcomes) == {"saved": 8}
        assert len(server.ledger.downloads) == 1
    paths = [outcome.paths[0] for outcome in outcomes]
    assert len({path.stat().st_ino for path in paths}) == 8
    assert len({path.read_bytes() for path in paths}) == 1
    assert not list((tmp_path / "out").glob(".*"))


async def test_writing_over_one_name_leaves_what_the_others_show(tmp_path: Path) -> None:
    plan = await alike(tmp_path)
    async with Emulator(seed=1) as server:
        outcomes = await run(server, tmp_path, plan)
        first, *others = sorted(outcome.paths[0] for outcome in outcomes)
        whole = first.read_bytes()
        for path in others:  # what a later tool writes in its place, as downloads do: whole, and by a new name
            assert path.samefile(first)
        result = next(outcome.result for outcome in outcomes if outcome.result is not None)
        async with opened(server, tmp_path) as session:
            assert session._lifetime.runtime is not None
            await session._lifetime.runtime.services.calls.save(
                result, tmp_path / "out", overwrite=True, name=lambda *_: first.name
            )
        assert not first.samefile(others[0])
        assert {path.read_bytes() for path in (first, *others)} == {whole}
        assert len(server.ledger.downloads) == 2


def fill_the_disk(patch: pytest.MonkeyPatch) -> None:
    """Let nothing more appear in an output folder; the emulator's own files go on."""
    whole = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if path.parent.name == "out":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(path, target)

    patch.setattr(Path, "replace", replace)


async def test_a_full_disk_names_each_jobs_own_file(
    stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_the_disk(monkeypatch)
    async with Emulator(seed=1, run_time=100.0) as server:
        outcomes = await run(server, tmp_path, await product(stock))
        unsaved = [outcome for outcome in outcomes if outcome.state == "save_failed"]
        assert len(unsaved) == len(server.ledger.tasks) == 9
    for outcome in unsaved:
        assert isinstance(outcome.error, SaveError)
        assert outcome.task_id is not None
        assert outcome.error.task_id == outcome.task_id
        assert f"__{outcome.task_id}.mp4" in outcome.error.message
        assert "No space left on device" in outcome.error.message


async def test_names_that_share_a_job_are_each_told_of_a_full_disk_by_their_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = await alike(tmp_path)
    async with Emulator(seed=1) as server:
        with monkeypatch.context() as full:
            fill_the_disk(full)
            outcomes = await run(server, tmp_path, plan)
        assert {outcome.entry.number for outcome in outcomes if outcome.state == "save_failed"} == set(range(1, 9))
        for outcome in outcomes:
            assert outcome.error is not None
            assert f"take{outcome.entry.number - 1}__hero__" in outcome.error.message
        assert states(await run(server, tmp_path, plan)) == {"saved": 8}
        assert len(server.ledger.submissions) == 1


# --- bought into another folder --------------------------------------------------------------------------------------


async def test_what_was_bought_into_another_folder_is_brought_into_this_one_for_nothing(
    stock: Path, tmp_path: Path
) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        await into(server, tmp_path, plan, "old")
        outcomes, _ = await into(server, tmp_path, plan, "new")
        assert states(outcomes) == {"saved": 9}
        assert {path.parent for outcome in outcomes for path in outcome.paths} == {tmp_path / "new"}
        assert all(story(path)["task_id"] == outcome.task_id for outcome in outcomes for path in outcome.paths)
        assert len(server.ledger.submissions) == len(server.ledger.downloads) == 9
        for out in ("new", "old"):
            assert states((await into(server, tmp_path, plan, out))[0]) == {"already_done": 9}
        assert len(server.ledger.submissions) == len(server.ledger.downloads) == 9
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        path.name for path in (tmp_path / "old").iterdir()
    )


async def test_what_the_other_folder_has_lost_or_only_half_of_is_fetched_again(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        await into(server, tmp_path, plan, "old")
        lost, cut = sorted((tmp_path / "old").glob("*.mp4"))[:2]
        whole = cut.read_bytes()
        lost.unlink()
        cut.write_bytes(whole[: len(whole) // 2])
        outcomes, _ = await into(server, tmp_path, plan, "new")
        assert states(outcomes) == {"saved": 9}
        assert len(server.ledger.downloads) == 11
        assert len(server.ledger.submissions) == 9
    assert (tmp_path / "new" / cut.name).read_bytes() == whole


async def test_where_neither_file_nor_link_lives_it_is_said_where_the_video_was(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        bought, _ = await into(server, tmp_path, plan, "old")
        lost = bought[0].paths[0]
        lost.unlink()
        server.faults.add(Fault("expired_link", route="download", status=404, times=None))
        outcomes, batch = await into(server, tmp_path, plan, "new")
        assert states(outcomes) == {"saved": 8, "save_failed": 1}
        (unsaved,) = (outcome for outcome in outcomes if outcome.state == "save_failed")
        assert str(lost) in str(unsaved.error)
        assert "not there any more" in str(unsaved.error)
        assert batch.stopped is None
        assert len(server.ledger.submissions) == 9


# --- what killed commands left ---------------------------------------------------------------------------------------


async def test_parts_that_a_killed_run_left_are_removed_and_those_of_others_stay(stock: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ours = [out / f".clip__hero__1.mp4.{'ab' * 6}-7.part", out / ".clip__hero__1.mp4.json.0123abcd.part"]
    theirs = [out / "clip.part", out / ".hidden.mp4.part", out / ".clip.mp4.0123abcd.party"]
    fresh = out / f".clip__hero__2.mp4.{'cd' * 6}-0.part"
    for path in (*ours, *theirs, fresh):
        path.write_bytes(b"half")
        if path != fresh:
            os.utime(path, (time.time() - 60, time.time() - 60))
    async with Emulator(seed=1) as server:
        assert states(await run(server, tmp_path, await product(stock))) == {"saved": 9}
    assert [path for path in ours if path.exists()] == []
    assert all(path.exists() for path in (*theirs, fresh))


async def test_a_part_that_a_living_command_still_fills_is_left_alone(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1, run_time=100.0) as server:
        server.faults.add(Fault("slow_response", route="download", seconds=20.0, times=None))
        async with opened(server, tmp_path) as session:
            running = asyncio.create_task(_read(session.batch(plan, tmp_path / "out")))
            while not (parts := list((tmp_path / "out").glob(".*.part"))):  # noqa: ASYNC110 - a folder tells nobody
                await asyncio.sleep(1)
            for part in parts:
                os.utime(part, (time.time() - 3600, time.time() - 3600))
            await run(server, tmp_path, Plan(entries=()))
            assert [part for part in parts if not part.exists()] == []
            assert states(await running) == {"saved": 9}


async def _read(batch: Batch) -> list[BatchOutcome]:
    return [outcome async for outcome in batch]
