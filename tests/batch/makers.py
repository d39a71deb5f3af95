"""Makes media of every kind, also broken: small, and quick to make and to probe."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image


def film(
    path: Path,
    *,
    seconds: float = 3,
    size: tuple[int, int] = (352, 352),
    rate: int = 5,
    options: dict[str, str] | None = None,
    codec: str = "mpeg4",
    pixel: Fraction | None = None,
    sound: int = 0,
) -> Path:
    """Write a video of one colour in a codec that is quick at any size; its container follows the suffix.

    :param pixel: the width of a pixel over its height.
    :param sound: seconds of silence beside the picture.
    """
    with av.open(str(path), "w", options=options or {}) as sink:
        track = cast("VideoStream", sink.add_stream(codec, rate=rate))
        track.width, track.height, track.pix_fmt = *size, "yuv420p"
        if pixel is not None:
            track.codec_context.sample_aspect_ratio = pixel
        audio = sink.add_stream("aac", rate=16000) if sound else None
        for _ in range(round(seconds * rate)):
            sink.mux(track.encode(av.VideoFrame(*size, "yuv420p")))
        sink.mux(track.encode())
        if audio is not None:
            _silence(sink, audio, sound)
    return path


def record(path: Path, *, codec: str = "aac", seconds: int = 4) -> Path:
    """Write silence."""
    with av.open(str(path), "w") as sink:
        track = cast("AudioStream", sink.add_stream(codec, rate=16000))
        _silence(sink, track, seconds, "s16" if codec.startswith("pcm") else "fltp")
    return path


def _silence(sink: OutputContainer, track: AudioStream, seconds: int, form: str = "fltp") -> None:
    for number in range(seconds * 16):
        frame = av.AudioFrame(format=form, layout="mono", samples=1000)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = 16000, number * 1000, Fraction(1, 16000)
        sink.mux(track.encode(frame))
    sink.mux(track.encode())


def cut(path: Path, source: Path, share: float) -> Path:
    """Write the first part of another file."""
    whole = source.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def paint(path: Path, *, mode: str = "RGB", size: tuple[int, int] = (320, 480)) -> Path:
    """Write a plain picture; its kind follows the suffix."""
    Image.new(mode, size).save(path)
    return path


def animate(path: Path) -> Path:
    """Write three frames; its kind follows the suffix."""
    first, *others = (Image.new("RGB", (320, 480), (shade, 0, 0)) for shade in (0, 100, 200))
    first.save(path, save_all=True, append_images=others)
    return path


def picture_of_noise(path: Path, *, size: tuple[int, int] = (400, 400)) -> Path:
    """Write a picture that does not compress, so that half of its file is half of its rows."""
    Image.effect_noise(size, 100).convert("RGB").save(path)
    return path
