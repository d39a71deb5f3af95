"""Finding clips and images: which files, in which order, and how they are paired."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path
from random import Random
from typing import Literal

import pytest

from rh_async import KlingMotionControl, Request
from rh_async._batch.planning.discovery import find_inputs, natural_sort_key
from rh_async.batch import MediaInfo, Pairing, Plan, Prober, plan_folder
from rh_async.errors import ConfigurationError, InvalidRequestError

pytestmark = pytest.mark.quick


Form = Literal["NFC", "NFD"]


def kling(image: Path, clip: Path) -> Request:
    """Make the request of these tests."""
    return KlingMotionControl(image, clip)


def couples(plan: Plan) -> list[tuple[str, str]]:
    """Return the names of each job's image and clip."""
    return [(Path(str(entry.characters[0])).name, Path(str(entry.clip)).name) for entry in plan.entries]


@pytest.fixture
def studio(media: Path, tmp_path: Path) -> Path:
    """Clips a, b and c; images a, b and d."""
    for name in "abc":
        shutil.copy(media / "clip1.mp4", tmp_path / f"{name}.mp4")
    for name in "abd":
        shutil.copy(media / "hero.png", tmp_path / f"{name}.png")
    return tmp_path


def test_names_are_sorted_with_digits_as_numbers() -> None:
    names = ["clip10.mp4", "Clip2.mp4", "clip1.mp4", "clip2b.mp4", "1.mp4", "a/2.mp4"]
    assert sorted(map(Path, names), key=natural_sort_key) == list(
        map(Path, ["1.mp4", "a/2.mp4", "clip1.mp4", "Clip2.mp4", "clip2b.mp4", "clip10.mp4"])
    )


def test_hidden_files_and_files_of_other_sorts_are_left_out_and_counted(studio: Path) -> None:
    (studio / ".DS_Store").touch()
    (studio / "notes.txt").touch()
    found = find_inputs([studio], "clips")
    assert [path.name for path in found.paths] == ["a.mp4", "b.mp4", "c.mp4"]
    assert [issue.message.partition(":")[0] for issue in found.issues] == ["5 files left out"]
    assert not any(issue.is_error for issue in found.issues)


def test_a_pattern_finds_the_files_that_match_it(studio: Path) -> None:
    (studio / "deep" / "down").mkdir(parents=True)
    for place in ("deep", "deep/down"):
        shutil.copy(studio / "a.mp4", studio / place / "z.mp4")

    def found(pattern: str) -> list[str]:
        return [str(path.relative_to(studio)) for path in find_inputs([studio / pattern], "clips").paths]

    assert found("[ab].mp4") == ["a.mp4", "b.mp4"]
    assert found("*/*.mp4") == ["deep/z.mp4"]
    assert found("**/z.mp4") == ["deep/down/z.mp4", "deep/z.mp4"]
    assert found("**/*.mp4") == ["a.mp4", "b.mp4", "c.mp4", "deep/down/z.mp4", "deep/z.mp4"]


def test_subfolders_are_searched_only_with_recursive(studio: Path) -> None:
    (studio / "deep").mkdir()
    shutil.move(studio / "a.mp4", studio / "deep" / "a.mp4")
    assert [path.name for path in find_inputs([studio], "clips").paths] == ["b.mp4", "c.mp4"]
    assert [path.name for path in find_inputs([studio], "clips", recursive=True).paths] == ["b.mp4", "c.mp4", "a.mp4"]


def test_a_named_file_is_an_input_once_whatever_its_suffix(studio: Path) -> None:
    odd = studio / "clip.bin"
    assert find_inputs([odd, studio / "a.mp4", odd], "clips").paths == (odd, studio / "a.mp4")


@pytest.mark.parametrize(
    ("pair", "expected", "said"),
    [
        ("name", [("a.png", "a.mp4"), ("b.png", "b.mp4")], ["no image of the same name", "no clip of the same name"]),
        ("zip", [("a.png", "a.mp4"), ("b.png", "b.mp4"), ("d.png", "c.mp4")], []),
        ("product", [(f"{one}.png", f"{two}.mp4") for one in "abd" for two in "abc"], []),
        ("one", [], ["there are 3 images"]),
    ],
)
async def test_clips_are_paired_by_the_rule_that_is_chosen(
    studio: Path, pair: Pairing, expected: list[tuple[str, str]], said: list[str]
) -> None:
    plan = await plan_folder(studio / "*.mp4", studio / "*.png", make=kling, pair=pair)
    refused = " ".join(str(issue) for issue in plan.issues if issue.is_error)
    assert couples(plan) == expected
    assert all(words in refused for words in said)
    assert plan.is_valid is not bool(said)


@pytest.mark.parametrize("stem", ["café", "ガンダム", "Ṩ"])
@pytest.mark.parametrize(("one", "other"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
async def test_names_pair_in_either_unicode_form(studio: Path, stem: str, one: Form, other: Form) -> None:
    shutil.copy(studio / "a.mp4", studio / f"{unicodedata.normalize(one, stem)}.mp4")
    shutil.copy(studio / "a.png", studio / f"{unicodedata.normalize(other, stem)}.png")
    images = [studio / name for name in ("a.png", "b.png", f"{unicodedata.normalize(other, stem)}.png")]
    plan = await plan_folder([studio / "[ab].mp4", studio / f"{stem}.mp4"], images, make=kling, pair="name")
    assert len(plan.ready) == 3
    assert plan.is_valid


async def test_a_folder_and_a_pattern_are_found_in_either_unicode_form(studio: Path) -> None:
    there = studio / unicodedata.normalize("NFD", "épisodé")
    there.mkdir()
    shutil.copy(studio / "a.mp4", there / unicodedata.normalize("NFD", "é1.mp4"))
    for source in ("épisodé", "épisodé/é*.mp4", "épi*/é1.mp4", "épisodé/é1.mp4"):
        plan = await plan_folder(studio / unicodedata.normalize("NFC", source), studio / "a.png", make=kling)
        assert len(plan.ready) == 1, source


async def test_lists_of_different_length_are_not_paired_in_order(studio: Path) -> None:
    plan = await plan_folder(studio / "*.mp4", studio / "[ab].png", make=kling, pair="zip")
    assert plan.entries == ()
    assert "2 images and 3 clips, which cannot be paired in order" in str(plan.issues)


async def test_two_images_of_one_name_each_make_a_job_and_a_warning(studio: Path) -> None:
    (studio / "a.png").with_suffix(".jpeg").write_bytes((studio / "a.png").read_bytes())
    plan = await plan_folder(studio / "a.mp4", studio / "a.*", make=kling, pair="name")
    assert couples(plan) == [("a.jpeg", "a.mp4"), ("a.png", "a.mp4")]
    assert "2 images have this name (a.jpeg, a.png)" in str(plan.warnings_by_rule())


async def test_a_limit_no_machine_can_count_to_is_no_limit(studio: Path) -> None:
    everything, limited = [
        await plan_folder(studio, studio, make=kling, pair="product", limit=limit) for limit in (None, 10**30)
    ]
    assert len(limited.entries) == len(everything.entries) > 0


async def test_the_same_seed_shuffles_alike_and_the_limit_takes_the_first(studio: Path) -> None:
    async def plan(limit: int | None = None) -> list[int]:
        shuffle = Random(7)
        made = await plan_folder(studio, studio, make=kling, pair="product", limit=limit, shuffle=shuffle)
        return [entry.number for entry in made.entries]

    whole = await plan()
    assert sorted(whole) == list(range(1, 10)) != whole
    assert await plan(4) == whole[:4]


async def test_the_error_of_a_request_is_reported_for_its_clip(studio: Path) -> None:
    def picky(image: Path, clip: Path) -> Request:
        if clip.name == "b.mp4":
            raise InvalidRequestError("Some.prompt = 'x': is too rude")
        return kling(image, clip)

    plan = await plan_folder(studio, studio / "a.png", make=picky)
    assert [entry.refused for entry in plan.entries] == [False, True, False]
    assert "b.mp4: Some.prompt = 'x': is too rude. Correct the options." in plan.errors_by_rule()[0].examples[0]


async def test_a_file_is_probed_once_under_all_its_names_and_again_after_a_change(studio: Path) -> None:
    probed: list[int] = []
    prober = Prober(progress=lambda done, _: probed.append(done))
    os.link(studio / "a.mp4", studio / "linked.mp4")
    (studio / "pointed.mp4").symlink_to(studio / "a.mp4")
    clips = [studio / "a.mp4", studio / "linked.mp4", studio / "pointed.mp4"]
    seen = await prober.probe(clips)
    assert len(probed) == 1
    assert isinstance(seen[clips[2]], MediaInfo)
    await prober.probe(clips)
    assert len(probed) == 1
    (studio / "a.mp4").write_bytes(b"no longer a video")
    assert not isinstance((await prober.probe(clips))[clips[1]], MediaInfo)
    assert len(probed) == 2


async def test_without_the_media_extra_the_error_names_it(studio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rh_async._media.probe.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"needs the media extra: pip install 'rh-async\[media\]'"):
        await plan_folder(studio, studio / "a.png", make=kling)
