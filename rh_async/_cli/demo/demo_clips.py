"""Makes inputs for the demo: draws character images and driving videos, in a second or two."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import repeat, takewhile
from pathlib import Path
from threading import Event

import av
from attrs import frozen

from .drawings import CHARACTERS, DANCES, dancing, portrait

_FRAMES_PER_SECOND = 24
_SECONDS = (3.5, 4.0, 4.5, 3.5)
_BEATS_PER_SECOND = 1.0
_WIDTH = 480


@frozen
class Clips:
    """Inputs on disk, ready to be sent.

    :param images: character images.  :param videos: driving videos.
    """

    images: tuple[Path, ...]
    videos: tuple[Path, ...]


def make_clips(folder: Path, stop: Event) -> Clips:
    """Draw every character and every dance into a folder, over files of the same names. Blocks.

    :param stop: set by another thread, ends the work early and leaves truncated videos.
    :raises OSError: the folder cannot be written.
    """
    images = [folder / f"{name}.{kind}" for name, kind in zip(CHARACTERS, ("png", "jpg") * 2, strict=True)]
    videos = [folder / f"{name}.mp4" for name in DANCES]
    for image in images:
        portrait(image.stem).save(image)
    with ThreadPoolExecutor(len(videos)) as threads:
        list(threads.map(film, videos, _SECONDS, repeat(stop)))
    return Clips(tuple(images), tuple(videos))


def film(path: Path, seconds: float, stop: Event) -> None:
    """Encode the dance that a file is named after, as H.264."""
    with av.open(path, "w", format="mp4") as sink:
        track = sink.add_stream("libx264", rate=_FRAMES_PER_SECOND, options={"preset": "ultrafast", "crf": "26"})
        track.width, track.height, track.pix_fmt = _WIDTH, _WIDTH * 4 // 3, "yuv420p"
        for number in takewhile(lambda _: not stop.is_set(), range(round(seconds * _FRAMES_PER_SECOND))):
            picture = dancing(path.stem, number / _FRAMES_PER_SECOND * _BEATS_PER_SECOND, side=_WIDTH)
            sink.mux(track.encode(av.VideoFrame.from_image(picture)))  # type: ignore[no-untyped-call]
        sink.mux(track.encode())
