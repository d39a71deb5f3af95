"""Defines ByteDance's request: DreamActor."""

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
class DreamActor(Request):
    """ByteDance DreamActor v2 (contract 2.4).

    :param image: the character image: a path, an http(s) link, a data URI, an `Upload`, or media that
        is no file yet: an open binary file, a Pillow image, an asynchronous iterable of bytes, `Media.from_bytes`.
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
        return "bytedance/dreamactor-v2"

    @property
    def limits(self) -> Mapping[str, MediaLimits]:
        return {
            "imageUrl": MediaLimits(kinds=("jpg", "png"), max_mb=5, box=((480, 480), (1920, 1080))),
            "videoUrl": MediaLimits(
                kinds=("mp4", "mov", "webm"), max_mb=100, box=((200, 200), (2048, 1440)), seconds=(0, 30)
            ),
        }

    def parameters(self) -> dict[str, Any]:
        return {"imageUrl": self.image, "videoUrl": self.video}
