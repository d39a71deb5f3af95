"""Jobs that will be submitted once are priced once, whatever their files are called."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from rh_async import KlingMotionControl, ModelRequest, Request, plan_folder, plan_manifest
from rh_async.batch import Plan
from rh_async.emulator import Emulator
from rh_async.types import Upload
from tests.batch.makers import film
from tests.batch.running import run


@pytest.fixture
def clips(media: Path, tmp_path: Path) -> Path:
    """Eight names for the same bytes: copies, a hard link, a symbolic one."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(6):
        shutil.copy(media / "clip1.mp4", folder / f"{number}.mp4")
    os.link(folder / "0.mp4", folder / "6.mp4")
    (folder / "7.mp4").symlink_to(folder / "0.mp4")
    return folder


def rows(media: Path, text: str) -> Path:
    """Write a manifest of this text beside the media."""
    (media / "duplicates.csv").write_text(text)
    return media / "duplicates.csv"


async def test_eight_names_for_the_same_bytes_are_one_submission_in_the_plan_and_at_the_server(
    clips: Path, media: Path, tmp_path: Path
) -> None:
    plan = await plan_folder(clips, media / "hero.png", make=KlingMotionControl)
    assert (len(plan.ready), len(plan.unique), len(plan.duplicates)) == (8, 1, 7)
    assert {entry.duplicate_of for entry in plan.duplicates} == {1}
    one = plan.entries[0].price
    assert one is not None
    assert plan.total == {one.currency: one.amount}
    said = plan.warnings_by_rule()[0]
    assert (said.rule, said.count) == ("duplicate", 7)
    assert "1.mp4: asks for the same as job 1 (" in said.examples[0]
    assert "0.mp4), in files of other names that hold the same bytes: bought once" in said.examples[0]
    async with Emulator(seed=1) as server:
        await run(server, tmp_path, plan)
        assert len(server.ledger.tasks) == len(plan.unique)


async def test_a_part_of_a_plan_prices_one_of_the_equal_jobs(clips: Path, media: Path) -> None:
    whole = await plan_folder(clips, media / "hero.png", make=KlingMotionControl)
    part = Plan(entries=whole.entries[3:6])
    assert [entry.number for entry in part.unique] == [4]
    assert [entry.number for entry in part.duplicates] == [5, 6]
    assert part.total == whole.total


async def test_files_of_one_size_with_different_bytes_are_separate_submissions(media: Path, tmp_path: Path) -> None:
    for number in range(3):
        whole = (media / "clip1.mp4").read_bytes()
        (tmp_path / f"{number}.mp4").write_bytes(whole + (9).to_bytes(4) + b"free" + bytes([number % 2]))
    plan = await plan_folder(tmp_path, media / "hero.png", make=KlingMotionControl)
    assert [entry.duplicate_of for entry in plan.entries] == [None, None, 1]


async def test_only_files_of_one_size_are_hashed(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "a.mp4")
    film(tmp_path / "b.mp4", seconds=4)
    monkeypatch.setattr("rh_async._batch.planning.prober._read", lambda path, _: pytest.fail(f"{path} was hashed"))
    plan = await plan_folder(tmp_path, media / "hero.png", make=KlingMotionControl)
    assert len(plan.unique) == 2


async def test_rows_with_different_keys_are_separate_submissions(media: Path) -> None:
    shutil.copy(media / "clip1.mp4", media / "copied.mp4")
    text = "key,image,video\na,hero.png,clip1.mp4\na,hero.png,copied.mp4\nb,hero.png,clip1.mp4\na,hero.png,clip2.mp4\n"
    plan = await plan_manifest(rows(media, text))
    assert [entry.duplicate_of for entry in plan.entries] == [None, 1, None, None]
    assert [entry.refused for entry in plan.entries] == [False, False, False, True]
    assert len(plan.unique) == 2


async def test_rows_that_differ_in_their_webhook_alone_are_one_submission(media: Path) -> None:
    text = "image,video,webhook_url\nhero.png,clip1.mp4,http://h/1\nhero.png,clip1.mp4,http://h/2\n"
    plan = await plan_manifest(rows(media, text))
    assert (len(plan.ready), len(plan.unique)) == (2, 1)


async def test_a_refused_job_is_never_the_first_of_its_duplicates(media: Path) -> None:
    text = "image,video,prompt\nhero.png,zero.mp4,\nhero.png,zero.mp4,\nhero.png,clip1.mp4,\nhero.png,clip1.mp4,\n"
    plan = await plan_manifest(rows(media, text))
    assert [entry.duplicate_of for entry in plan.entries] == [None, None, None, 3]
    assert len(plan.unique) == 1


def uploaded(image: Path, clip: Path) -> Request:
    """A request that names one clip by its upload."""
    sha256 = hashlib.sha256(clip.read_bytes()).hexdigest()
    upload = Upload(url="https://example.org/x", file_name="x", sha256=sha256)
    return ModelRequest("a/b", {"imageUrl": image, "videoUrl": upload if clip.name == "0.mp4" else clip})


async def test_an_upload_and_the_file_it_was_made_from_are_the_same(clips: Path, media: Path) -> None:
    plan: Plan = await plan_folder([clips / "0.mp4", clips / "1.mp4"], media / "hero.png", make=uploaded)
    assert [entry.duplicate_of for entry in plan.entries] == [None, 1]
