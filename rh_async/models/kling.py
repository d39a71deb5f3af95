"""Defines Kling's request: motion control, of 3.0 and 2.6, standard and pro.

A request is checked when it is made: the error names the field, its value and the rule, and nothing is sent.
Documented limits live here; where the contract contradicts itself, they warn and never refuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast, get_args

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

KlingModel = Literal["kling-v3.0-std", "kling-v3.0-pro", "kling-v2.6-std", "kling-v2.6-pro"]
Orientation = Literal["video", "image"]

V3_ONLY = frozenset({"negative_prompt", "elements"})
"""Options that 2.6 does not have (contract 2.3)."""

_PROMPT_LIMIT = 2500
_PROMPT = option("text", "up to 2,500 characters")


def _as_tuple(elements: Sequence[str | Mapping[str, Any]]) -> tuple[str | Mapping[str, Any], ...]:
    return tuple(elements) if isinstance(elements, list) else cast("tuple[str, ...]", elements)


@frozen
class KlingMotionControl(Request):
    """Kling v3.0 and v2.6 motion control, std and pro (contract 2.2, 2.3).

    :param image: the character image: a path, an http(s) link, a data URI, an `Upload`, or media that
        is no file yet: an open binary file, a Pillow image, an asynchronous iterable of bytes, `Media.from_bytes`.
    :param video: the driving video, likewise; 3 to 30 s, or to 10 s with ``orientation="image"``.
    :param model: which of the four models.
    :param orientation: whether the character faces as in the video or as in the image.
    :param prompt: up to 2,500 characters.
    :param negative_prompt: up to 2,500 characters; 3.0 only.
    :param keep_original_sound: whether the driving video's sound is kept.
    :param elements: ids from ``kling-elements``; 3.0 only. Objects pass too: the item's type is contradicted
        (contract 12.5).
    :raises InvalidRequestError: a field breaks a rule.
    """

    image: MediaValue = field(
        converter=media_value, validator=check_media, repr=short_repr, metadata=option("media", "the character image")
    )
    video: MediaValue = field(
        converter=media_value, validator=check_media, repr=short_repr, metadata=option("media", "the driving video")
    )
    model: KlingModel = field(default="kling-v3.0-std", kw_only=True)
    orientation: Orientation = field(
        default="video",
        kw_only=True,
        metadata=option("word", "whether the character faces as in the 'video' (the default) or as in the 'image'"),
    )
    prompt: str | None = field(default=None, kw_only=True, repr=short_repr, metadata=_PROMPT)
    negative_prompt: str | None = field(default=None, kw_only=True, repr=short_repr, metadata=_PROMPT)
    keep_original_sound: bool = field(
        default=True, kw_only=True, metadata=option("flag", "whether the driving video's sound is kept")
    )
    elements: tuple[str | Mapping[str, Any], ...] = field(
        default=(), converter=_as_tuple, kw_only=True, metadata=option("items", "ids of elements")
    )

    @property
    def endpoint(self) -> str:
        return f"{self.model}/motion-control"

    @property
    def limits(self) -> Mapping[str, MediaLimits]:
        longest, reason = (30, "") if self.orientation == "video" else (10, "orientation 'image'")
        return {
            "imageUrl": MediaLimits(kinds=("jpg", "png"), max_mb=10, px=(300, 65536), aspect=(0.4, 2.5)),
            "videoUrl": MediaLimits(
                kinds=("mp4",), max_mb=100, px=(340, 3850), seconds=(3, longest), seconds_reason=reason
            ),
        }

    def parameters(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "imageUrl": self.image,
            "videoUrl": self.video,
            "characterOrientation": self.orientation,
            "prompt": self.prompt,
            "negativePrompt": self.negative_prompt,
            "keepOriginalSound": self._sound(),
            "elementList": list(self.elements) or None,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _sound(self) -> bool | str:
        # A boolean on 3.0, a word on 2.6 (contract 12.4).
        if self._is_v3:
            return self.keep_original_sound
        return "yes" if self.keep_original_sound else "no"

    @property
    def _is_v3(self) -> bool:
        return self.model.startswith("kling-v3.0")

    def __attrs_post_init__(self) -> None:
        self._check_choice("model", self.model, get_args(KlingModel))
        self._check_choice("orientation", self.orientation, get_args(Orientation))
        self._check_prompt("prompt", self.prompt)
        self._check_prompt("negative_prompt", self.negative_prompt)
        if not isinstance(self.keep_original_sound, bool):
            self.refuse("keep_original_sound", self.keep_original_sound, "must be True or False")
        if not isinstance(self.elements, tuple):
            self.refuse("elements", self.elements, "must be a tuple of element ids")
        if not self._is_v3 and self.negative_prompt is not None:
            self.refuse("negative_prompt", self.negative_prompt, f"exists on kling-v3.0 only, not on {self.model}")
        if not self._is_v3 and self.elements:
            self.refuse("elements", self.elements, f"exist on kling-v3.0 only, not on {self.model}")
        super().__attrs_post_init__()

    def _check_choice(self, name: str, value: object, choices: tuple[str, ...]) -> None:
        if value not in choices:
            self.refuse(name, value, f"must be one of {', '.join(choices)}")

    def _check_prompt(self, name: str, value: object) -> None:
        if value is not None and not isinstance(value, str):
            self.refuse(name, value, "must be text")
        if value is not None and len(value) > _PROMPT_LIMIT:
            self.refuse(name, value, f"has {len(value):,} characters, the limit is {_PROMPT_LIMIT:,}")
