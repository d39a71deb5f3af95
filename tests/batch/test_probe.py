"""Probing: a file's kind by its content, its size upright, and read to its end."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from rh_async.batch import MediaInfo, probe
from rh_async.errors import InvalidMedia
from tests.batch.makers import cut, film, paint, record

pytestmark = pytest.mark.quick


def test_a_video_is_recognised_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    info = probe(film(tmp_path / "clip.mp4", seconds=4, rate=10, size=(400, 300)).rename(tmp_path / "clip.png"))
    assert info == MediaInfo(
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


@pytest.mark.parametrize(
    ("name", "kind", "codec"),
    [
        ("a.mov", "mov", "mpeg4"),
        ("a.mkv", "mkv", "mpeg4"),
        ("a.avi", "avi", "mpeg4"),
        ("a.ts", "ts", "mpeg4"),
        ("a.mpg", "mpg", "mpeg2video"),
        ("a.vob", "mpg", "mpeg2video"),
    ],
)
def test_other_containers_are_recognised(tmp_path: Path, name: str, kind: str, codec: str) -> None:
    info = probe(film(tmp_path / name, rate=25, codec=codec))
    assert (info.kind, info.family, round(info.seconds or 0)) == (kind, "video", 3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi", "a.ts"])
@pytest.mark.parametrize("sound", [2, 30])
def test_a_video_lasts_as_long_as_its_picture_however_long_its_sound_is(tmp_path: Path, name: str, sound: int) -> None:
    info = probe(film(tmp_path / name, seconds=5, rate=25, sound=sound))
    assert info.seconds == pytest.approx(5, abs=0.1)
    assert info.sound == pytest.approx(sound, abs=0.2)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi"])
@pytest.mark.parametrize("options", [{}, {"movflags": "faststart"}], ids=["index last", "index first"])
def test_a_video_that_is_cut_anywhere_is_found_out(
    tmp_path: Path, share: float, name: str, options: dict[str, str]
) -> None:
    whole = film(tmp_path / name, seconds=20, options=options if name in {"a.mp4", "a.mov"} else {})
    assert probe(whole).seconds == pytest.approx(20, abs=0.5)
    with pytest.raises(InvalidMedia, match=r"cannot be read to its end|breaks off after"):
        probe(cut(whole, whole, share))


def test_a_title_in_another_alphabet_does_not_matter(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4")
    assert clip.read_bytes().count(b"Lavf") == 1
    clip.write_bytes(clip.read_bytes().replace(b"Lavf", b"\xe9\xff\xfe\xe9"))
    assert probe(clip).seconds == 3.0


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.aac", "aac"), ("a.opus", "libopus")])
def test_audio_in_any_container_is_recognised(tmp_path: Path, name: str, codec: str) -> None:
    sound = record(tmp_path / name, codec=codec)
    assert probe(sound).family == "audio"
    if name == "a.mp3":
        sound.write_bytes(sound.read_bytes()[10:])  # without a title in front
        assert probe(sound).family == "audio"


def test_a_wave_file_is_audio(tmp_path: Path) -> None:
    info = probe(record(tmp_path / "speech.wav", codec="pcm_s16le"))
    assert (info.kind, info.family, info.codec, info.seconds) == ("wav", "audio", "pcm_s16le", 4.0)


@pytest.mark.parametrize(("name", "kind"), [("a.jpg", "jpg"), ("a.bmp", "bmp"), ("a.webp", "webp"), ("a.tiff", "tiff")])
def test_image_formats_are_recognised(tmp_path: Path, name: str, kind: str) -> None:
    info = probe(paint(tmp_path / name))
    assert (info.kind, info.family, info.width, info.height, info.animated) == (kind, "image", 320, 480, False)


def test_an_image_of_a_camera_held_sideways_is_measured_upright(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (480, 320)).save(tmp_path / "photo.jpg", exif=turned)
    info = probe(tmp_path / "photo.jpg")
    assert (info.width, info.height, info.stored) == (320, 480, (480, 320))


@pytest.mark.parametrize("name", ["photo.png", "photo.webp", "photo.tiff"])
def test_any_format_of_image_is_measured_upright(tmp_path: Path, name: str) -> None:
    turned = Image.Exif()
    turned[0x0112] = 8
    Image.new("RGB", (480, 320)).save(tmp_path / name, exif=turned)
    info = probe(tmp_path / name)
    assert (info.width, info.height) == (320, 480)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # as a caller sees it; the command line is silent
def test_unreadable_camera_metadata_rotates_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (480, 320)).save(tmp_path / "photo.jpg", exif=b"Exif\0\0II*\0" + b"\xff" * 40)
    info = probe(tmp_path / "photo.jpg")
    assert (info.width, info.height) == (480, 320)


@pytest.mark.parametrize(("size", "megapixels"), [((12_000, 9_000), 108), ((16_320, 12_240), 200)])
def test_a_very_large_photograph_is_probed_by_its_header_without_a_warning(
    tmp_path: Path, size: tuple[int, int], megapixels: int, recwarn: pytest.WarningsRecorder
) -> None:
    Image.new("L", size).save(tmp_path / "photo.jpg", quality=5)
    info = probe(cut(tmp_path / "photo.jpg", tmp_path / "photo.jpg", 0.5))  # were it decoded, it would be found cut
    assert (info.width, info.height, info.decoded) == (*size, False)
    assert info.width * info.height // 1_000_000 in {megapixels, megapixels - 1}
    assert not recwarn.list


@pytest.mark.parametrize(("pixel", "shown"), [(Fraction(64, 45), (512, 288)), (Fraction(1), (360, 288))])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_a_video_of_non_square_pixels_is_measured_as_a_player_shows_it(
    tmp_path: Path, name: str, pixel: Fraction, shown: tuple[int, int]
) -> None:
    info = probe(film(tmp_path / name, size=(360, 288), pixel=pixel))
    assert (info.width, info.height) == shown
    assert info.stored == (None if shown == (360, 288) else (360, 288))


def test_a_video_of_a_camera_held_sideways_is_measured_upright(tmp_path: Path) -> None:
    lying = film(tmp_path / "lying.mp4", size=(400, 300))
    info = probe(_turned(lying))
    assert (info.width, info.height) == (300, 400)


def _turned(path: Path) -> Path:
    """Turn a video by a quarter, as a phone does: in the matrix of its track's header."""
    data, one = bytearray(path.read_bytes()), (1 << 16).to_bytes(4)
    matrix = data.index(b"tkhd") + 4 + 40
    zero, minus = bytes(4), (-(1 << 16)).to_bytes(4, signed=True)
    data[matrix : matrix + 20] = zero + one + zero + minus + zero
    path.write_bytes(data)
    return path


def test_an_unusable_file_raises_invalid_media_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(
        InvalidMedia, match=r"empty\.mp4: has zero bytes\. Copy or export it again; nothing was submitted"
    ):
        probe(tmp_path / "empty.mp4")
