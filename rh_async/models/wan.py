"""Defines Wan2.2's request: character motion transfer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from .base import (
    MediaInput,  # noqa: F401 - attrs annotates the parameters of __init__ with the name that media_value takes
    MediaValue,
    Request,
    check_media,
    media_value,
    short_repr,
)
from .media_limits import MediaLimits
from .request_option import option


@frozen
class CharacterMotionTransfer(Request):
    """Wan2.2 Character Motion Transfer (contract 2.5).

    Its fields are ComfyUI nodes and take the server's file names: give local files, or an `Upload`.

    :param image: the character image: a path, an `Upload` or media that is no file yet.
    :param video: the driving video, likewise; up to 30 s.
    :raises InvalidRequestError: a field breaks a rule.
    """

    image: MediaValue = field(
        converter=media_value, validator=check_media, repr=short_repr, metadata=option("media", "the character image")
    )
    video: MediaValue = field(
        converter=media_value, validator=check_media, repr=short_repr, metadata=option("media", "the driving video")
    )

    @property
    def endpoint(self) -> str:
        return "rhart-video/wan2.2/character-motion-transfer"

    @property
    def limits(self) -> Mapping[str, MediaLimits]:
        # The console says 10 MB for the video, the page allows 30 s of it (contract 12.2).
        return {
            "299##image": MediaLimits(kinds=("jpg", "png"), warn_mb=10),
            "275##video": MediaLimits(kinds=("mp4", "mov"), warn_mb=10, seconds=(0, 30)),
        }

    def parameters(self) -> dict[str, Any]:
        return {"299##image": self.image, "275##video": self.video}

    def __attrs_post_init__(self) -> None:
        # Whether a link works in these fields is unproved (contract 2.5), and a paid job is no place to find out.
        for name, value in (("image", self.image), ("video", self.video)):
            if isinstance(value, str):
                self.refuse(name, value, "links are not taken here: download the file and give its path, or an Upload")
        super().__attrs_post_init__()
