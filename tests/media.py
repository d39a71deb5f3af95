"""Small real media for the tests: images that are images, and videos that play."""

from __future__ import annotations

from pathlib import Path

import av
from PIL import Image

from rh_async.emulator.outputs.sample_files import free_box


def draw_image(path: Path, *, shade: int = 100, size: tuple[int, int] = (320, 480)) -> Path:
    """Write a plain picture; its kind follows the suffix."""
    Image.new("RGB", size, (shade % 256, 120, 200)).save(path)
    return path


def film_video(path: Path, *, seconds: int = 3, shade: int = 0, size: tuple[int, int] = (352, 352)) -> Path:
    """Write a playable H.264 video, five frames a second; its container follows the suffix."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for frame in range(5 * seconds):
            picture = av.VideoFrame.from_image(Image.new("RGB", size, (frame * 4 % 256, shade % 256, 60)))  # type: ignore[no-untyped-call]
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def made_of(clip: Path, task_id: str) -> bytes:
    """Return what the emulator makes of a driving video: the video, and the task's own mark."""
    return clip.read_bytes() + free_box(task_id)
