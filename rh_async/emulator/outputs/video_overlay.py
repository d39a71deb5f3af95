"""A picture of who met whom: the character image in a corner of the driving video. Needs PyAV and Pillow."""

from __future__ import annotations

from pathlib import Path

import av
from PIL import Image

_SHARE = 0.35  #: of the frame's shorter side that the character may take
_LONGEST = 720  #: pixels; a picture for people needs no more


def overlay_image(image: Path, video: Path, target: Path) -> None:
    """Draw an image into a video and write it as H.264. Blocks for seconds: call it off the loop."""
    with av.open(video) as source, av.open(target, "w", format="mp4") as sink:
        track = source.streams.video[0]
        width, height = _fitting(track.width, track.height)
        picture = _thumbnail(image, round(min(width, height) * _SHARE))
        output = sink.add_stream("libx264", rate=track.average_rate or 24, options={"preset": "ultrafast", "crf": "28"})
        output.width, output.height, output.pix_fmt = width, height, "yuv420p"
        for frame in source.decode(track):
            drawn = frame.reformat(width, height, format="rgb24").to_image()  # type: ignore[no-untyped-call]
            drawn.paste(picture, (width - picture.width - 8, height - picture.height - 8))
            sink.mux(output.encode(av.VideoFrame.from_image(drawn)))  # type: ignore[no-untyped-call]
        sink.mux(output.encode())


def _fitting(width: int, height: int) -> tuple[int, int]:
    """Return even sides, not longer than a picture for people needs."""
    factor = min(1.0, _LONGEST / max(width, height))
    return max(2, int(width * factor) // 2 * 2), max(2, int(height * factor) // 2 * 2)


def _thumbnail(path: Path, side: int) -> Image.Image:
    with Image.open(path) as image:
        picture = image.convert("RGB")
    picture.thumbnail((side, side))
    return picture
