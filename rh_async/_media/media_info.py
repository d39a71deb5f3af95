"""Describes what a media file is, by its content and never by its name."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

Family = Literal["image", "video", "audio"]


@frozen(kw_only=True)
class MediaInfo:
    """Describe a probed media file.

    :param kind: by content, as its usual extension.
    :param container: as the library that read it names it.
    :param codec: of the picture, or of the sound where there is no picture.
    :param size: in bytes.
    :param width: of the picture as it is shown, upright and with square pixels, in px; 0 where there is none.
    :param height: likewise.
    :param stored: width and height as the file holds them, where it is shown otherwise; else None.
    :param seconds: of the picture, or of the sound where there is no picture; None for a still picture.
    :param sound: seconds of the sound beside a picture; None where there is none.
    :param rate: frames per second; None where it has none, or does not say.
    :param mode: how colours are held, for instance ``RGB``, ``CMYK``, ``yuv420p``.
    :param alpha: whether parts may be transparent.
    :param animated: whether an image has more than one frame.
    :param decoded: whether all of it was decoded; of a very large image only the header is read.
    """

    kind: str
    family: Family
    container: str
    codec: str
    size: int
    width: int = 0
    height: int = 0
    stored: tuple[int, int] | None = None
    seconds: float | None = None
    sound: float | None = None
    rate: float | None = None
    mode: str = ""
    alpha: bool = False
    animated: bool = False
    decoded: bool = True
