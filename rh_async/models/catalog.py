"""Reads what each model of the catalogue takes, as documented, from this package's data, once it is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast

from attrs import evolve, field, frozen

from rh_async._media.media_info import Family
from rh_async.models.media_limits import MediaLimits

ParamType = Literal["STRING", "LIST", "BOOLEAN", "INT", "FLOAT", "IMAGE", "VIDEO", "AUDIO", "COMPLEX"]

MEDIA = frozenset({"IMAGE", "VIDEO", "AUDIO"})
_ANY = {
    "IMAGE": "jpg png webp bmp gif tiff heic avif",
    "VIDEO": "mp4 mov webm mkv avi flv ts wmv",
    "AUDIO": "mp3 wav flac m4a",
}  # where nothing is documented, at least a video is no image
_SAME = {"jpeg": "jpg", "m4v": "mp4", "tif": "tiff"}
# One document says 10 MB, another allows 30 s of video (contract 12.2).
_CONTRADICTORY_LIMITS = frozenset({"rhart-video/wan2.2/character-motion-transfer"})


@frozen(kw_only=True)
class Param:
    """Describe one field of a model, as documented; None or empty where the documents say nothing.

    :param multiple: whether it takes a list.
    :param max_items: how many items that list may have.
    :param length: least and greatest number of characters.
    :param value_range: least and greatest value.
    :param limits: what it takes where it is media.
    :param max_seconds_by_value: how long the model's video may be at most, for each value of this field.
    """

    name: str
    type: ParamType
    required: bool = False
    default: object = None
    options: tuple[str, ...] = ()
    multiple: bool = False
    max_items: int | None = None
    length: tuple[int, int | None] = (0, None)
    value_range: tuple[float | None, float | None] = (None, None)
    limits: MediaLimits | None = None
    max_seconds_by_value: Mapping[str, float] = field(factory=dict)

    @property
    def is_media(self) -> bool:
        return self.type in MEDIA


@frozen(kw_only=True)
class Model:
    """Describe one model of the catalogue.

    :param partial: whether options and limits are known to be incomplete, so that no value is refused by them.
    """

    endpoint: str
    params: Mapping[str, Param]
    partial: bool = False

    def limits(self, values: Mapping[str, object]) -> Mapping[str, MediaLimits]:
        """Return the limits of each media field, given the values of all fields."""
        limits = {name: param.limits for name, param in self.params.items() if param.limits is not None}
        for param in self.params.values():
            value = str(values.get(param.name, param.default))
            if (longest := param.max_seconds_by_value.get(value)) is not None:
                reason = f"{param.name} {value!r}"
                limits = {name: _no_longer(one, longest, reason) for name, one in limits.items()}
        return limits


def _no_longer(limits: MediaLimits, longest: float, reason: str) -> MediaLimits:
    if limits.seconds is None or limits.seconds[1] <= longest:
        return limits
    return evolve(limits, seconds=(limits.seconds[0], longest), seconds_reason=reason)


@cache
def data(name: str) -> Mapping[str, Any]:
    """Read a file of this package's data, once. Blocks: call it off the loop."""
    text = (files(__package__) / "data" / name).read_text(encoding="utf-8")
    return cast("Mapping[str, Any]", json.loads(text))


def family_of(kind: str) -> Family | None:
    """Return whether a kind of file is an image, a video or a sound; None if it is no kind that a model takes."""
    families: dict[str, Family] = {"IMAGE": "image", "VIDEO": "video", "AUDIO": "audio"}
    return next((families[media] for media, kinds in _ANY.items() if kind in kinds.split()), None)


def endpoints() -> frozenset[str]:
    """Return the endpoints of all models."""
    return frozenset(data("catalog.json")["models"])


@cache
def find_model(endpoint: str) -> Model | None:
    """Return the model of an endpoint; None where the catalogue has none. Blocks: call it off the loop."""
    found = data("catalog.json")["models"].get(endpoint)
    if found is None or not found["params"]:
        return None
    params = [_param(one, is_contradictory=endpoint in _CONTRADICTORY_LIMITS) for one in found["params"]]
    return Model(endpoint=endpoint, params={one.name: one for one in params}, partial=found.get("partial", False))


def _param(described: Mapping[str, Any], *, is_contradictory: bool) -> Param:
    return Param(
        name=described["name"],
        type=described["type"],
        required=described.get("required", False),
        default=described.get("default"),
        options=tuple(described.get("options", ())),
        multiple=described.get("multiple", False),
        max_items=described.get("max_inputs"),
        length=(described.get("min_length", 0), described.get("max_length")),
        value_range=(described.get("min"), described.get("max")),
        limits=_limits(described, is_contradictory=is_contradictory) if described["type"] in MEDIA else None,
        max_seconds_by_value=described.get("max_video_duration_s", {}),
    )


def _limits(described: Mapping[str, Any], *, is_contradictory: bool) -> MediaLimits:
    accepted = described.get("accept") or _ANY[described["type"]].split()
    kinds = dict.fromkeys(_SAME.get(kind.lower(), kind.lower()) for kind in accepted)
    largest = described.get("max_size_mb")
    longest = described.get("max_duration_s")
    return MediaLimits(
        kinds=tuple(kinds),
        max_mb=None if is_contradictory else largest,
        warn_mb=largest if is_contradictory else None,
        px=_pair(described, "min_px", "max_px"),
        box=_pair(described, "min_resolution", "max_resolution", convert=lambda sides: (max(sides), min(sides))),
        aspect=_pair(described, "min_aspect", "max_aspect"),
        seconds=None if longest is None else (described.get("min_duration_s", 0), longest),
    )


def _pair(described: Mapping[str, Any], least: str, most: str, convert: Any = lambda value: value) -> Any:
    return (convert(described[least]), convert(described[most])) if least in described and most in described else None
