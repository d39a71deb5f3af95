"""What a file is: by its content, upright, and to its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from rh_async import MediaRefused
from rh_async._batch import Facts, probe
from tests.batch.makers import cut, film, paint, record

pytestmark = pytest.mark.quick


def test_a_video_is_known_by_its_content_whatever_it_is_called(tmp_path: Path) -> None:
    facts = probe(film(tmp_path / "clip.mp4", seconds=4, rate=10, size=(400, 300)).rename(tmp_path / "clip.png"))
    assert facts == Facts(
        kind="mp4",
        family="video",
        container="mov",
        codec="mpeg4",
        size=(tmp_path / "clip.png").stat().st_size,
        width=400,
        height=300,
        seconds=4.0,
        rate=10.0,
        mode="yuv420p",
    )


@pytest.mark.parametrize(("name", "kind"), [("a.mov", "mov"), ("a.mkv", "mkv"), ("a.avi", "avi"), ("a.ts", "ts")])
def test_other_containers_are_told_apart(tmp_path: Path, name: str, kind: str) -> None:
    facts = probe(film(tmp_path / name))
    assert (facts.kind, facts.family, round(facts.seconds or 0)) == (kind, "video", 3)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi"])
@pytest.mark.parametrize("options", [{}, {"movflags": "faststart"}], ids=["index last", "index first"])
def test_a_video_that_is_cut_anywhere_is_found_out(
    tmp_path: Path, share: float, name: str, options: dict[str, str]
) -> None:
    whole = film(tmp_path / name, seconds=20, options=options if name in {"a.mp4", "a.mov"} else {})
    assert probe(whole).seconds == pytest.approx(20, abs=0.5)
    with pytest.raises(MediaRefused, match=r"cannot be read to its end|breaks off after"):
        probe(cut(whole, whole, share))


def test_a_title_in_another_alphabet_does_not_matter(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4")
    assert clip.read_bytes().count(b"Lavf") == 1
    clip.write_bytes(clip.read_bytes().replace(b"Lavf", b"\xe9\xff\xfe\xe9"))
    assert probe(clip).seconds == 3.0


def test_a_sound_is_a_sound(tmp_path: Path) -> None:
    facts = probe(record(tmp_path / "voice.wav", codec="pcm_s16le"))
    assert (facts.kind, facts.family, facts.codec, facts.seconds) == ("wav", "audio", "pcm_s16le", 4.0)


@pytest.mark.parametrize(("name", "kind"), [("a.jpg", "jpg"), ("a.bmp", "bmp"), ("a.webp", "webp"), ("a.tiff", "tiff")])
def test_images_are_told_apart(tmp_path: Path, name: str, kind: str) -> None:
    facts = probe(paint(tmp_path / name))
    assert (facts.kind, facts.family, facts.width, facts.height, facts.animated) == (kind, "image", 320, 480, False)


def test_an_image_of_a_camera_held_sideways_is_measured_upright(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (480, 320)).save(tmp_path / "photo.jpg", exif=turned)
    facts = probe(tmp_path / "photo.jpg")
    assert (facts.width, facts.height) == (320, 480)


def test_a_video_of_a_camera_held_sideways_is_measured_upright(tmp_path: Path) -> None:
    lying = film(tmp_path / "lying.mp4", size=(400, 300))
    facts = probe(_turned(lying))
    assert (facts.width, facts.height) == (300, 400)


def _turned(path: Path) -> Path:
    """Turn a video by a quarter, as a phone does: in the matrix of its track's header."""
    data, one = bytearray(path.read_bytes()), (1 << 16).to_bytes(4)
    matrix = data.index(b"tkhd") + 4 + 40
    zero, minus = bytes(4), (-(1 << 16)).to_bytes(4, signed=True)
    data[matrix : matrix + 20] = zero + one + zero + minus + zero
    path.write_bytes(data)
    return path


def test_a_refusal_is_a_media_refusal_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(
        MediaRefused, match=r"empty\.mp4: has zero bytes\. Copy or export it again; nothing was submitted"
    ):
        probe(tmp_path / "empty.mp4")
