"""Outputs of earlier runs are not inputs of the next."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rh_async import KlingMotionControl, plan_folder
from rh_async._batch.planning.discovery import find_inputs
from rh_async._batch.recorded_outputs.known_outputs import IN_THE_FOLDER, OF_A_RUN, KnownOutputs
from rh_async.batch import Plan


def write_sidecar(path: Path) -> None:
    """Write a file's sidecar as a run does."""
    values = {"task_id": "1", "outputs": [path.name], "request": {}}
    path.with_name(f"{path.name}.json").write_text(json.dumps(values))


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    """A clip, and an output folder among the clips with a file that no record names."""
    (tmp_path / "out").mkdir()
    for name in ("a.mp4", "out/b.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def found(studio: Path, *sources: str, outputs: KnownOutputs | None, recursive: bool = True) -> list[str]:
    """Which clips are inputs."""
    paths = find_inputs([studio / one for one in sources], "clips", recursive=recursive, outputs=outputs).paths
    return [str(path.relative_to(studio)) for path in paths]


def test_what_lies_in_an_output_folder_inside_a_searched_one_is_left_out(studio: Path) -> None:
    out = KnownOutputs.of([studio / "out"])
    assert found(studio, ".", outputs=out) == ["a.mp4"]
    assert found(studio, "**/*.mp4", outputs=out) == ["a.mp4"]
    assert found(studio, ".", outputs=KnownOutputs.of([])) == ["a.mp4", "out/b.mp4"]
    assert found(studio, ".", outputs=None) == ["a.mp4", "out/b.mp4"]


def test_an_output_folder_reached_through_a_link_is_the_same_folder(studio: Path) -> None:
    (studio / "clips").symlink_to(studio)
    (studio / "results").symlink_to(studio / "out")
    assert found(studio, "clips", outputs=KnownOutputs.of([studio / "results"]))[:1] == ["clips/a.mp4"]
    assert not any("b.mp4" in path for path in found(studio, "clips", outputs=KnownOutputs.of([studio / "results"])))
    (studio / "linked.mp4").symlink_to(studio / "out" / "b.mp4")
    assert KnownOutputs.of([studio / "out"]).exclusion_reason(studio / "linked.mp4", studio) == IN_THE_FOLDER


def test_clips_in_a_folder_that_outputs_go_to_are_inputs_and_outputs_are_not(studio: Path) -> None:
    write_sidecar(studio / "out" / "b.mp4")
    (studio / "out" / "c.mp4").touch()
    for out in ("out", "."):
        assert found(studio, "out", outputs=KnownOutputs.of([studio / out])) == ["out/c.mp4"]


def test_a_json_file_of_another_program_is_no_sidecar(studio: Path) -> None:
    for number, text in enumerate(['{"task_id": "1"}', '{"id": "x", "outputs": []}', "[1]", "{", "[" * 9999]):
        (studio / f"c{number}.mp4").touch()
        (studio / f"c{number}.mp4.json").write_text(text)
    assert len(found(studio, ".", outputs=KnownOutputs.of([]), recursive=False)) == 6


def test_a_results_log_counts_for_the_outputs_of_its_own_folder_alone(studio: Path) -> None:
    (studio / "elsewhere").mkdir()
    (studio / "elsewhere" / "a.mp4").touch()
    elsewhere = {"task_id": "1", "path": str(studio / "elsewhere" / "a.mp4")}
    moved = {"task_id": "2", "path": "/nowhere/any/more/b.mp4"}
    for folder in (studio, studio / "out"):
        (folder / "batch.jsonl").write_text(
            f'{json.dumps(elsewhere)}\nno json\n[1]\n{json.dumps(moved)}\n{{"path": 5}}\n'
        )
    outputs = KnownOutputs.of([])
    assert outputs.exclusion_reason(studio / "a.mp4", studio) is None
    assert outputs.exclusion_reason(studio / "out" / "b.mp4", studio) == OF_A_RUN


async def planned(studio: Path, images: Path, **how: Any) -> Plan:
    """A plan whose outputs go to the characters' own folder."""
    return await plan_folder(studio, images, make=KlingMotionControl, outputs=images / "out", **how)


async def test_characters_that_are_outputs_are_left_out_too_and_counted(media: Path, tmp_path: Path) -> None:
    clips, images = tmp_path / "clips", tmp_path / "images"
    for folder in (clips, images / "out"):
        folder.mkdir(parents=True)
    shutil.copy(media / "clip1.mp4", clips)
    for place in ("hero.png", "made.png", "out/hero.png"):
        shutil.copy(media / "hero.png", images / place)
    write_sidecar(images / "made.png")
    plan = await planned(clips, images, recursive=True)
    assert [entry.characters for entry in plan.entries] == [(images / "hero.png",)]
    (said,) = (str(issue) for issue in plan.issues if issue.rule == "outputs left out")
    assert "2 files left out as outputs: 1 in the output folder, 1 made by an earlier run" in said
    assert "include_outputs=True" in said
    assert "3 images" in str(await planned(clips, images, recursive=True, include_outputs=True))


async def test_a_file_with_an_impossible_name_is_reported_and_refused(media: Path) -> None:
    plan = await plan_folder([Path("a\0b.mp4")], media / "hero.png", make=KlingMotionControl)
    assert [entry.refused for entry in plan.entries] == [True]
