"""Guesses from a model's endpoint what its jobs make, and how long such jobs usually run.

It is where the timetable starts from while no job of the model has ended; the first few ends replace it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from attrs import frozen


class Kind(Enum):
    """What a model makes."""

    VIDEO = "video"
    IMAGE = "image"
    AUDIO = "audio"
    TEXT = "text"
    MODEL_3D = "3d"


@frozen
class Usual:
    """The run times to expect of a model that nobody knows.

    :ivar median: in seconds.  :ivar spread: of their logarithm.
    """

    median: float
    spread: float


USUAL: Final[Mapping[Kind, Usual]] = MappingProxyType(
    {
        Kind.VIDEO: Usual(180.0, 0.8),  # minutes, within a factor of two or so
        Kind.MODEL_3D: Usual(120.0, 0.9),
        Kind.AUDIO: Usual(30.0, 1.0),
        Kind.IMAGE: Usual(20.0, 1.0),
        Kind.TEXT: Usual(6.0, 1.0),
    }
)

_RULES: Final[tuple[tuple[re.Pattern[str], Kind], ...]] = tuple(
    (re.compile(words), kind)
    for words, kind in (
        # First what the path says in so many words, for "rhart-video/wan-2.2/text-to-image" makes an image.
        ("to-video", Kind.VIDEO),
        ("to-image|to-world|kontext", Kind.IMAGE),
        ("to-(?:audio|music|speech)", Kind.AUDIO),
        ("to-3d", Kind.MODEL_3D),
        ("to-text|/chat|lyrics|describe-|recognize-|identify-|upload-", Kind.TEXT),
        ("video|motion|avatar|i2v|t2v", Kind.VIDEO),
        ("tts|audio|music|voice|vocal|song|bgm|instrumental", Kind.AUDIO),
        ("image|seedream", Kind.IMAGE),
    )
)


def kind_of(endpoint: str) -> Kind:
    """Guess what a model makes: video, this library's own trade, where the endpoint does not say."""
    return next((kind for words, kind in _RULES if words.search(endpoint.lower())), Kind.VIDEO)


def usual_of(endpoint: str) -> Usual:
    """Guess how long jobs of a model run, as long as none has ended."""
    return USUAL[kind_of(endpoint)]
