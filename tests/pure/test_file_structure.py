"""Checks of a file's structure, on files that real libraries wrote and on every way to cut them."""

from __future__ import annotations

import io
import struct
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Literal, cast

import av
import pytest
from PIL import Image

from rh_async._media.byte_source import Truncated
from rh_async._media.file_structure import check_structure
from tests.pure.test_filetype import picture

NOISE = Random(7)


def verdict(data: bytes) -> str:
    try:
        return check_structure(io.BytesIO(data), len(data))
    except Truncated:
        return "cut"


def film(container: str, codec: str, **options: str) -> bytes:
    with TemporaryDirectory() as folder:  # an index in front is written by reading the file anew
        return _film(Path(folder, "film"), container, codec, options)


def _film(path: Path, container: str, codec: str, options: dict[str, str]) -> bytes:
    with av.open(str(path), "w", format=container, options=options) as out:
        stream = out.add_stream(codec, rate=5)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(20):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(NOISE.randbytes(plane.buffer_size))
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path.read_bytes()


def sound(container: str, codec: str, sample: str, **options: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as out:
        stream = cast("av.AudioStream", out.add_stream(codec, rate=44100, layout="mono"))
        for number in range(40):
            frame = av.AudioFrame(format=sample, layout="mono", samples=1024)
            for plane in frame.planes:
                plane.update(NOISE.randbytes(plane.buffer_size) if sample != "fltp" else bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = 44100, number * 1024
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()


def noise(container: str, **options: object) -> bytes:
    file = io.BytesIO()
    mode: Literal["RGB", "P"] = "P" if container == "GIF" else "RGB"
    image = Image.frombytes("RGB", (90, 70), NOISE.randbytes(90 * 70 * 3)).convert(mode)
    image.save(file, container, **options)
    return file.getvalue()


def with_preview() -> bytes:
    """Make a JPEG with a whole preview in its head, as cameras write them."""
    preview, whole = noise("JPEG"), noise("JPEG", progressive=True)
    segment = b"\xff\xe1" + struct.pack(">H", len(preview) + 8) + b"Exif\0\0" + preview
    return whole[:2] + segment + whole[2:]


def moving() -> bytes:
    file = io.BytesIO()
    frames = [Image.frombytes("P", (30, 20), NOISE.randbytes(600)) for _ in range(4)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def spoken() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(NOISE.randbytes(3000))
    return file.getvalue()


def packed() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("a.bin", NOISE.randbytes(3000))
        out.comment = b"made here"
    return file.getvalue()


def scene() -> bytes:
    body = NOISE.randbytes(3000)
    return b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body


FILES: dict[str, Callable[[], bytes]] = {
    "mp4": lambda: film("mp4", "mpeg4"),
    "mp4, index first": lambda: film("mp4", "mpeg4", movflags="faststart"),
    "mov": lambda: film("mov", "mpeg4"),
    "webm": lambda: film("webm", "libvpx"),
    "mkv": lambda: film("matroska", "mpeg4"),
    "avi": lambda: film("avi", "mpeg4"),
    "png": lambda: noise("PNG"),
    "jpeg": lambda: noise("JPEG"),
    "jpeg, progressive": lambda: noise("JPEG", progressive=True),
    "jpeg with a preview": with_preview,
    "gif": lambda: noise("GIF"),
    "gif, moving": moving,
    "webp": lambda: noise("WEBP", lossless=True),
    "bmp": lambda: noise("BMP"),
    "avif": lambda: noise("AVIF"),
    "wav": spoken,
    "m4a": lambda: sound("ipod", "aac", "fltp"),
    "flac": lambda: sound("flac", "flac", "s16"),
    "mp3": lambda: sound("mp3", "libmp3lame", "s16p"),
    "ogg": lambda: sound("ogg", "flac", "s16"),
    "zip": packed,
    "glb": scene,
}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {name: make() for name, make in FILES.items()}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_a_library_wrote_is_whole(name: str, files: dict[str, bytes]) -> None:
    assert verdict(files[name]) == "whole"


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_anywhere_is_never_whole(name: str, files: dict[str, bytes]) -> None:
    data = files[name]
    sizes = {
        1,
        16,
        64,
        *(len(data) - back for back in (1, 2, 5, 20)),
        *(NOISE.randrange(len(data)) for _ in range(60)),
    }
    answers = {size: verdict(data[:size]) for size in sizes}
    assert "whole" not in answers.values(), answers
    late = [verdict for size, verdict in answers.items() if size > 512]
    assert set(late) == {"cut"}, answers


@pytest.mark.parametrize("name", ["mp4", "png", "jpeg", "gif", "wav", "zip", "glb", "webp"])
def test_junk_after_the_end_leaves_a_file_whole(name: str, files: dict[str, bytes]) -> None:
    assert verdict(files[name] + b"\0\0\0") == "whole"
    assert verdict(files[name] + b"\0" * 100) == "whole"


def test_an_mp3_without_a_byte_count_is_checked_by_its_frames() -> None:
    data = sound("mp3", "libmp3lame", "s16p", write_xing="0", id3v2_version="0")
    assert verdict(data) == "whole"
    assert verdict(data[:-7]) == "cut"
    assert verdict(data + b"TAG" + bytes(125)) == "whole"


def test_fragmented_and_piped_files_have_unknown_completeness() -> None:
    pieces = film("mp4", "mpeg4", movflags="frag_keyframe+empty_moov+default_base_moof")
    assert verdict(pieces[: pieces.rindex(b"mfra") - 4]) in {"unknown", "cut"}
    piped = bytearray(spoken())
    piped[4:8] = b"\xff\xff\xff\xff"
    assert verdict(bytes(piped)) == "unknown"


@pytest.mark.parametrize("data", [b"", b"plain text", bytes(5000), b"v" * 1000, b"%PDF-1.7"])
def test_a_file_without_a_structure_has_unknown_completeness(data: bytes) -> None:
    assert verdict(data) == "unknown"


def test_any_bytes_give_an_answer_in_bounded_time() -> None:
    """Heads of every kind with noise after them: only an answer or `Truncated`, and that soon."""
    heads = [make()[:40] for make in FILES.values()] + [picture("PNG")[:12]]
    for _ in range(300):
        data = NOISE.choice(heads)[: NOISE.randrange(41)] + NOISE.randbytes(NOISE.randrange(400))
        assert verdict(data) in {"whole", "cut", "unknown"}
