"""The kind of a file by its first bytes, on real files."""

from __future__ import annotations

import io
import wave
import zipfile

import av
import pytest
from PIL import Image

from rh_async._media.filetype import HEAD, guess_kind

PICTURES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}
FILMS = {
    "mp4": ("mpeg4", "mp4"),
    "mov": ("mpeg4", "mov"),
    "webm": ("libvpx", "webm"),
    "matroska": ("mpeg4", "mkv"),
    "avi": ("mpeg4", "avi"),
}
SOUNDS = {"flac": ("flac", "flac"), "mp3": ("libmp3lame", "mp3"), "ipod": ("aac", "m4a")}


def picture(container: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 10, 10)).save(file, container)
    return file.getvalue()


def film(container: str, codec: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=5)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        out.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        out.mux(stream.encode())
    return file.getvalue()


def sound(container: str, codec: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=44100, layout="mono")
        assert isinstance(stream, av.AudioStream)
        silence = av.AudioFrame(format=stream.codec_context.format.name, layout="mono", samples=1152)
        silence.sample_rate = 44100
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        out.mux(stream.encode(silence))
        out.mux(stream.encode())
    return file.getvalue()


@pytest.mark.parametrize(("container", "kind"), PICTURES.items())
def test_an_image_is_recognised_by_its_first_bytes(container: str, kind: str) -> None:
    assert guess_kind(picture(container)[:HEAD]) == kind


@pytest.mark.parametrize(("container", "codec", "kind"), [(name, *made) for name, made in FILMS.items()])
def test_a_video_is_recognised_by_its_first_bytes(container: str, codec: str, kind: str) -> None:
    assert guess_kind(film(container, codec)[:HEAD]) == kind


@pytest.mark.parametrize(("container", "codec", "kind"), [(name, *made) for name, made in SOUNDS.items()])
def test_an_audio_file_is_recognised_by_its_first_bytes(container: str, codec: str, kind: str) -> None:
    assert guess_kind(sound(container, codec)[:HEAD]) == kind


def test_a_wave_file_is_recognised_by_its_first_bytes() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(100))
    assert guess_kind(file.getvalue()[:HEAD]) == "wav"


def test_an_archive_is_recognised_by_its_first_bytes() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("a.txt", "a")
    assert guess_kind(file.getvalue()[:HEAD]) == "zip"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41", "mp4"),
        (b"\x00\x00\x00\x1cftypmp42\x00\x00\x00\x00mp42isom", "mp4"),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00qt  ", "mov"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "heic"),
        (b"\x00\x00\x00\x18ftypheix\x00\x00\x00\x00mif1heix", "heic"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", "heic"),
        (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1", "avif"),
        (b"\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00M4A mp42", "m4a"),
        (b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", "mov"),
        (b"\x00\x00\x10\x00moov\x00\x00\x00\x6cmvhd", "mov"),
        (b"\x00\x00\x10\x00mdat\x00\x00\x00\x00", "mov"),
        (b"GIF87a\x01\x00", "gif"),
        (b"\xff\xd8\xff\xe1\x00\x18Exif\x00\x00", "jpg"),
    ],
)
def test_other_formats_are_recognised_by_their_documented_head(head: bytes, kind: str) -> None:
    assert guess_kind(head) == kind


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x89PN",
        b"\x89PNG\r\n",
        b"\xff\xd8",
        b"GIF",
        b"B",
        b"PK",
        b"RIFF",
        b"RIFF\x00\x00\x00\x00WEB",
        b"RIFF\x00\x00\x00\x00RMID",
        b"\x00\x00\x00\x20fty",
        b"\x1aE\xdf",
        b"<html><body>",
        b"%PDF-1.7",
        b"plain text",
        bytes(HEAD),
    ],
)
def test_a_cut_head_or_another_kind_of_file_gives_none(head: bytes) -> None:
    assert guess_kind(head) is None
