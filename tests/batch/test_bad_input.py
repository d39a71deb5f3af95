"""A bad input is reported in one line with subject, rule and hint; the other inputs are planned."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import pytest
from PIL import Image

from rh_async import CharacterMotionTransfer, DreamActor, KlingMotionControl, Request
from rh_async._media import video as _video
from rh_async.batch import MediaInfo, Plan, Prober, plan_folder, plan_manifest
from rh_async.issues import Severity
from tests.batch.makers import cut, film, record

LONG_NAME = "n" * 300 + ".mp4"


def lines(plan: Plan, *, severity: Severity = "error") -> list[str]:
    """Every example, as a person reads it."""
    groups = plan.errors_by_rule() if severity == "error" else plan.warnings_by_rule()
    return [example for group in groups for example in group.examples]


def says(found: Sequence[str], *words: str) -> bool:
    """Whether one line holds all of the words."""
    return any(all(word in line for word in words) for line in found)


def written(manifest: Path, text: str) -> Path:
    """Write a manifest of this text."""
    manifest.write_bytes(text.encode())
    return manifest


def kling(image: Path, clip: Path) -> Request:
    """Make the request of most tests."""
    return KlingMotionControl(image, clip)


@pytest.mark.parametrize(
    ("clip", "words"),
    [
        ("folder.mp4", ("folder.mp4", "is a directory, not a file", "Give the media file itself")),
        ("zero.mp4", ("zero.mp4", "zero bytes", "export it again")),
        ("text.mp4", ("text.mp4", "no video", "whatever its name says", "Give a media file")),
        ("playlist.mp4", ("playlist.mp4", "no video", "Give a media file")),
        ("no-index.mp4", ("no-index.mp4", "begins like a mp4 but cannot be read to its end", "export it again")),
        ("cut.mp4", ("cut.mp4", "breaks off after", "export it again")),
        ("sound.mp4", ("sound.mp4", "sound only", "with its video track")),
        ("half.mp4", ("half.mp4", "lasts 0.50 s", "takes 3 to 30 s", "Give a longer video")),
        ("long.mp4", ("long.mp4", "lasts 45.00 s", "takes 3 to 30 s", "Cut it to 30 s")),
        ("8k.mp4", ("8k.mp4", "7680 × 4320 px", "takes 340 to 3850 px", "Scale it down")),
        ("circle.mp4", ("circle.mp4", "symbolic links", "Correct")),
        ("nowhere.mp4", ("nowhere.mp4", "does not exist", "Correct the path")),
        ("hero.png", ("hero.png", "is png by content", "takes mp4 in videoUrl", "Give a video")),
        (LONG_NAME, ("nnn…nnn", "File name too long", "shorten its path")),
    ],
)
async def test_a_bad_clip_is_refused_in_a_line_and_the_good_one_goes(
    media: Path, clip: str, words: Sequence[str]
) -> None:
    plan = await plan_manifest(written(media / "bad-clip.csv", f"image,video\nhero.png,{clip}\nhero.png,clip1.mp4\n"))
    assert [entry.refused for entry in plan.entries] == [True, False]
    assert says(lines(plan), "bad-clip.csv:2: ", *words), lines(plan)
    assert not plan.is_valid


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("zero.png", ("zero.png", "zero bytes", "export it again")),
        ("cut.png", ("cut.png", "cut short", "export it again")),
        ("text.mp4", ("text.mp4", "no video, image", "Give a media file")),
        ("tall.png", ("tall.png", "0.25 times as wide as high", "takes 0.4 to 2.5", "Crop it")),
        ("moving.webp", ("moving.webp", "an animated webp", "takes jpg or png in imageUrl", "Convert it to jpg")),
    ],
)
async def test_a_bad_image_is_refused_in_a_line(media: Path, image: str, words: Sequence[str]) -> None:
    plan = await plan_folder(media / "clip1.mp4", media / image, make=kling)
    assert says(lines(plan), *words), lines(plan)
    assert plan.ready == ()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("alpha.png", ("alpha.png", "transparent parts", "plain background")),
        ("print.jpg", ("print.jpg", "CMYK", "Convert it to RGB")),
    ],
)
async def test_an_image_that_no_document_forbids_gets_a_warning(media: Path, image: str, words: Sequence[str]) -> None:
    plan = await plan_folder(media / "clip1.mp4", media / image, make=kling)
    assert says(lines(plan, severity="warning"), *words), lines(plan, severity="warning")
    assert plan.is_valid


@pytest.mark.parametrize(
    ("name", "how", "words"),
    [
        ("ps.mpg", {"codec": "mpeg2video", "rate": 25}, ("is mpg by content", "takes mp4", "Convert it to mp4")),
        ("tape.mp4", {"size": (360, 288), "pixel": Fraction(64, 45)},
         ("has 512 × 288 px as shown (stored as 360 × 288);", "takes 340 to", "Give a larger one")),
        ("whole.mp4", {"seconds": 20, "options": {"movflags": "faststart"}}, ("breaks off after", "of 20.0 s. Copy")),
    ],
)  # fmt: skip
async def test_an_unusual_clip_is_refused_with_the_true_reason_and_a_hint_that_helps(
    media: Path, tmp_path: Path, name: str, how: dict[str, Any], words: Sequence[str]
) -> None:
    clip = film(tmp_path / name, **how)
    if name == "whole.mp4":
        cut(clip, clip, 0.67)
    plan = await plan_folder(clip, media / "hero.png", make=kling)
    (line,) = lines(plan)
    assert all(word in line for word in words), line
    assert line.count(name) == 1


@pytest.mark.parametrize(
    ("clip", "image", "words"),
    [
        ("speech.wav", "hero.png", ("speech.wav", "is a sound, wav by content", "Give a video")),
        ("hero.png", "hero.png", ("is png by content", "in videoUrl. Give a video")),
        ("clip1.mp4", "clip2.mp4", ("clip2.mp4: is mp4 by content", "in imageUrl. Give an image")),
        ("clip1.mp4", "drawing.psd", ("drawing.psd: is psd by content", "Convert it to jpg")),
    ],
)
async def test_a_file_of_another_family_is_to_be_replaced_not_converted(
    media: Path, clip: str, image: str, words: Sequence[str]
) -> None:
    record(media / "speech.wav", codec="pcm_s16le")
    (media / "drawing.psd").write_bytes(b"8BPS\0\1" + bytes(100))
    plan = await plan_folder(media / clip, media / image, make=kling)
    assert says(lines(plan), *words), lines(plan)


async def test_a_rotated_photograph_is_checked_by_its_upright_size(media: Path, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (1600, 400)).save(tmp_path / "photo.jpg", exif=turned)
    plan = await plan_folder(media / "clip1.mp4", tmp_path / "photo.jpg", make=kling)
    (line,) = lines(plan)
    assert "photo.jpg: is 0.25 times as wide as high (400 × 1600 px as shown (stored as 1600 × 400)); " in line


async def test_a_sound_that_outlasts_its_picture_gets_a_warning(media: Path, tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", seconds=5, rate=25)
    film(tmp_path / "b.mp4", seconds=5, rate=25, sound=40)
    plan = await plan_folder(tmp_path, media / "hero.png", make=kling)
    assert says(lines(plan, severity="warning"), "b.mp4: its sound lasts 40.", "its picture 5.00 s", "Cut the sound")
    assert [entry.refused for entry in plan.entries] == [False, False]
    assert plan.entries[0].price == plan.entries[1].price is not None


async def test_a_very_large_photograph_is_accepted_undecoded_with_a_warning(media: Path, tmp_path: Path) -> None:
    Image.new("L", (12_000, 9_000)).save(tmp_path / "photo.jpg", quality=5)
    plan = await plan_folder(media / "clip1.mp4", tmp_path / "photo.jpg", make=kling)
    assert plan.is_valid
    assert says(lines(plan, severity="warning"), "photo.jpg: has 108 megapixels", "not decoded to its end")


@pytest.mark.parametrize(
    "error", [MemoryError(), struct.error("unpack"), RuntimeError("odd"), OSError(5, "I/O error"), OverflowError("x")]
)
async def test_a_file_that_the_libraries_cannot_read_is_named_and_the_others_are_planned(
    media: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    probe_video = _video.probe_video

    def stumble(path: Path, source: BinaryIO, kind: str | None, size: int) -> MediaInfo:
        if path.name == "clip2.mp4":
            raise error
        return probe_video(path, source, kind, size)

    monkeypatch.setattr(_video, "probe_video", stumble)
    plan = await plan_folder([media / "clip1.mp4", media / "clip2.mp4"], media / "hero.png", make=kling)
    assert says(lines(plan), "clip2.mp4: cannot be looked into", type(error).__name__, "Copy or export it again")
    assert [entry.refused for entry in plan.entries] == [False, True]


async def test_a_tall_clip_is_taken_where_only_its_sides_are_limited(media: Path) -> None:
    plan = await plan_folder(media / "tall.mp4", media / "hero.png", make=kling)
    assert plan.is_valid


async def test_a_tall_clip_is_refused_where_it_does_not_fit_the_box(media: Path, tmp_path: Path) -> None:
    tall = film(tmp_path / "taller.mp4", size=(540, 2160))
    plan = await plan_folder(tall, media / "tall.png", make=DreamActor)
    assert says(lines(plan), "taller.mp4", "540 × 2160 px", "to 2048 × 1440 px", "Scale it down")
    assert says(lines(plan), "tall.png", "400 × 1600 px", "480 × 480", "Give a larger one")


async def test_twelve_seconds_are_too_long_only_for_the_orientation_of_the_image(media: Path) -> None:
    def as_image(image: Path, clip: Path) -> Request:
        return KlingMotionControl(image, clip, orientation="image")

    twelve, hero = media / "twelve.mp4", media / "hero.png"
    assert (await plan_folder(twelve, hero, make=kling)).is_valid
    plan = await plan_folder(twelve, hero, make=as_image)
    assert says(lines(plan), "twelve.mp4", "takes 3 to 10 s with orientation 'image'", "Cut it to 10 s")


async def test_a_limit_that_the_documents_contradict_only_warns(media: Path, tmp_path: Path) -> None:
    heavy = tmp_path / "heavy.mp4"
    heavy.write_bytes((media / "clip1.mp4").read_bytes() + (11 << 20).to_bytes(4) + b"free" + bytes((11 << 20) - 8))
    plan = await plan_folder(heavy, media / "hero.png", make=CharacterMotionTransfer)
    assert plan.is_valid
    assert says(lines(plan, severity="warning"), "heavy.mp4", "says 10 MB, another allows more", "Try one")


async def test_a_file_that_may_not_be_read_is_named(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Path.open

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
        return deny() if path.name == "clip1.mp4" else opening(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)  # to root, no file is closed
    plan = await plan_folder(media / "clip1.mp4", media / "hero.png", make=kling)
    assert says(lines(plan), "clip1.mp4", "permission denied", "chmod +r")


def deny() -> NoReturn:
    """Do as a disk would."""
    raise PermissionError(13, "Permission denied")


async def test_an_empty_folder_is_reported(media: Path, tmp_path: Path) -> None:
    plan = await plan_folder(tmp_path, media / "hero.png", make=kling)
    assert says(lines(plan), tmp_path.name, "no clips in this folder", "name another folder")
    assert not plan.is_valid


async def test_a_name_too_long_for_the_disk_is_reported(media: Path) -> None:
    plan = await plan_folder([media / LONG_NAME, media / "clip1.mp4"], media / "hero.png", make=kling)
    assert says(lines(plan), "nnn…nnn", "File name too long", "shorten its path")
    assert len(plan.ready) == 1


async def test_a_pattern_that_matches_nothing_is_reported(media: Path, tmp_path: Path) -> None:
    plan = await plan_folder(tmp_path / "*.mp4", media / "hero.png", make=kling)
    assert says(lines(plan), "*.mp4", "matches no clips", "Correct the pattern")


async def test_folders_that_link_to_themselves_are_searched_once(media: Path, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for place in (tmp_path, tmp_path / "a", tmp_path / "a" / "b"):
        (place / "back").symlink_to(tmp_path)
        (place / "again").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "b" / "clip.mp4").write_bytes((media / "clip1.mp4").read_bytes())
    for clips in (tmp_path, tmp_path / "**" / "*.mp4"):
        plan = await plan_folder(clips, media / "hero.png", make=kling, recursive=True)
        assert [Path(str(entry.clip)).name for entry in plan.ready] == ["clip.mp4"]


async def test_a_name_that_is_no_utf_8_is_accepted_with_a_warning(media: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    odd.write_bytes((media / "clip1.mp4").read_bytes())
    plan = await plan_folder(tmp_path, media / "hero.png", make=kling)
    assert says(lines(plan, severity="warning"), r"caf\xe9.mp4", "not UTF-8", "Rename it")
    assert plan.is_valid


CSV = "image,video,prompt\nhero.png,clip1.mp4,one\n"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("near.csv", "image,video,promt\nhero.png,clip1.mp4,x\n", (":2, column promt", "no such", "mean prompt")),
        ("missing.csv", "image,prompt\nhero.png,x\n", (":2, column video", "is missing or empty", "Fill it")),
        ("empty-cell.csv", "image,video\n,clip1.mp4\n", (":2, column image", "is missing or empty", "Fill it")),
        ("ragged.csv", "image,video\nhero.png,clip1.mp4,x\n", (":2", "has 3 cells, the header 2", "in quotes")),
        ("twice.csv", "image,video,image\nhero.png,clip1.mp4,x\n", ("column image twice", "Remove one")),
        ("model.csv", "image,video,model\nhero.png,clip1.mp4,kling-v3\n", ("column model", "is no", "mean kling")),
        ("option.csv", "image,video,orientation\nhero.png,clip1.mp4,up\n", ("column orientation", "'up': must be")),
        ("flag.csv", "video,keep_original_sound\nclip1.mp4,maybe\n", ("column keep", "neither yes")),
        ("not-its.csv", "image,video,prompt,model\nhero.png,clip1.mp4,x,wan2.2\n", ("column prompt", "wan2.2")),
        ("header.csv", "image,video\n", ("header.csv", "has no rows", "Add one row per job")),
        ("nothing.csv", "", ("nothing.csv", "has no header", "Begin with a line")),
        ("json.jsonl", '{"image": \n', (":1", "is no JSON", "one JSON object per line")),
        ("list.jsonl", "[1]\n", (":1", "no object of columns")),
        ("number.jsonl", '{"image": 5, "video": "clip1.mp4"}\n', (":1, column image", "5 is no text", "Give a path")),
        ("lone.jsonl", '{"image": "\\ud800.png", "video": "clip1.mp4"}\n', (r"\ud800.png", "surrogates not allowed")),
        ("wide.csv", "x" * 200_000 + "\n", ("wide.csv", "header that cannot be read")),
        ("wide-row.csv", f"image,video\n{'x' * 200_000},clip1.mp4\n", (":2", "cannot be read", "lone quote")),
        ("key.jsonl", '{"image": "hero.png", "video": "clip1.mp4", "key": 5}\n', (":1, column key", "5 is no text")),
        ("broken.toml", "[[job]\n", ("broken.toml", "is no TOML", "line 1")),
        ("table.toml", "[tasks]\n", ("table.toml", "'tasks'", "[[job]] table per job")),
        ("one.toml", "[job]\nimage = 'x'\n", ("one.toml", "one [job] table", "Write [[job]]")),
        ("what.xlsx", "PK", ("what.xlsx", "no manifest by its suffix", "Give a .csv (saved from the workbook as CSV")),
        ("what.csv", "PK\3\4", ("what.csv", "is a workbook or an archive by its content", "Give a .csv (saved from")),
        ("keys.csv", "key,image,video,prompt\nk,hero.png,clip1.mp4,a\nk,hero.png,clip1.mp4,b\n",
         (":3", "its key 'k' is that of row 1 (line 2)", "its own key")),
    ],
)  # fmt: skip
async def test_a_bad_row_is_named_by_its_line_and_column(
    media: Path, name: str, text: str, words: Sequence[str]
) -> None:
    plan = await plan_manifest(written(media / name, text))
    assert says(lines(plan), name, *words), lines(plan)
    assert not plan.is_valid


async def test_the_issues_of_all_rows_are_collected(media: Path) -> None:
    text = "image,video,model,promt\nhero.png,,,x\nnix.png,clip1.mp4,,\nhero.png,clip1.mp4,,\n"
    plan = await plan_manifest(written(media / "several.csv", text))
    assert [len(entry.issues) for entry in plan.entries] == [2, 1, 0]
    assert {group.rule: group.count for group in plan.errors_by_rule()} == {
        "unknown column": 1,
        "missing column": 1,
        "no such file": 1,
    }


async def test_equal_rows_are_all_planned_and_submitted_once(media: Path) -> None:
    plan = await plan_manifest(written(media / "same.csv", f"{CSV}hero.png,clip1.mp4,two\nhero.png,clip1.mp4,one\n"))
    assert [entry.duplicate_of for entry in plan.entries] == [None, None, 1]
    assert says(lines(plan, severity="warning"), ":4", "the same as row 1 (line 2): bought once", "a key of its own")
    one = plan.entries[0].price
    assert one is not None
    assert plan.total == {"CNY": 2 * one.amount}


@pytest.mark.parametrize(
    "text",
    [f"\ufeff{CSV}", CSV.replace("\n", "\r\n"), CSV.replace(",", ";"), CSV.replace("one", '"o,\nn\ne"'), CSV.rstrip()],
    ids=["byte order mark", "CRLF", "semicolons", "quoted line breaks", "no last line break"],
)
async def test_a_manifest_may_be_written_by_a_spreadsheet(media: Path, text: str) -> None:
    plan = await plan_manifest(written(media / "sheet.csv", text))
    assert plan.is_valid
    assert len(plan.entries) == 1


async def test_fifty_thousand_rows_probe_each_file_once(media: Path) -> None:
    probed: list[int] = []
    manifest, rows = media / "many.csv", 50_000
    with manifest.open("w") as sink:
        sink.write("key,image,video\n")
        sink.writelines(f"job-{n},hero.png,{'nix' if n == 777 else 'clip'}{1 + n % 2}.mp4\n" for n in range(rows))
    plan = await plan_manifest(manifest, prober=Prober(progress=lambda done, _: probed.append(done)))
    assert len(plan.entries) == rows
    assert probed == [1, 2, 3]
    assert [group.count for group in plan.errors_by_rule()] == [1]
    assert says(lines(plan), "nix2.mp4", "does not exist")
    assert plan.refused[0].origin.endswith("many.csv:779")
