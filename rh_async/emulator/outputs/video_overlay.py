"""Draws the character image into the driving video, so that a person sees which inputs a result has.

Needs PyAV and Pillow.
"""

from __future__ import annotations

from pathlib import Path

import av
from PIL import Image

_IMAGE_SHARE = 0.35  #: of the frame's shorter side
_MAX_SIDE = 720  #: pixels of the output's longer side; more would only take longer to encode


def overlay_image(image: Path, video: Path, target: Path) -> None:
    """Draw an image into a corner of a video and write the result as H.264.

    Blocks for seconds: call it off the event loop.
    """
    with av.open(video) as source, av.open(target, "w", format="mp4") as sink:
        track = source.streams.video[0]
        width, height = _scaled_size(track.width, track.height)
        thumbnail = _thumbnail(image, round(min(width, height) * _IMAGE_SHARE))
        output = sink.add_stream("libx264", rate=track.average_rate or 24, options={"preset": "ultrafast", "crf": "28"})
        output.width, output.height, output.pix_fmt = width, height, "yuv420p"
        for frame in source.decode(track):
            picture = frame.reformat(width, height, format="rgb24").to_image()  # type: ignore[no-untyped-call]
            picture.paste(thumbnail, (width - thumbnail.width - 8, height - thumbnail.height - 8))
            sink.mux(output.encode(av.VideoFrame.from_image(picture)))  # type: ignore[no-untyped-call]
        sink.mux(output.encode())


def _scaled_size(width: int, height: int) -> tuple[int, int]:
    """Return the size of the output; yuv420p needs even sides."""
    factor = min(1.0, _MAX_SIDE / max(width, height))
    return max(2, int(width * factor) // 2 * 2), max(2, int(height * factor) // 2 * 2)


def _thumbnail(path: Path, side: int) -> Image.Image:
    with Image.open(path) as image:
        picture = image.convert("RGB")
    picture.thumbnail((side, side))
    return picture
