"""Guesses from a model's endpoint what it makes, and from that how long its jobs usually run.

The scheduler starts from this prior while no job of the model has settled; the first few that do replace it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from attrs import frozen


class ModelKind(Enum):
    """What a model makes."""

    VIDEO = "video"
    IMAGE = "image"
    AUDIO = "audio"
    TEXT = "text"
    MODEL_3D = "3d"


@frozen
class RunTimePrior:
    """The run times to expect of a model of which no job has settled yet: a log-normal distribution.

    :ivar median: in seconds.  :ivar spread: the standard deviation of their logarithm.
    """

    median: float
    spread: float


PRIORS: Final[Mapping[ModelKind, RunTimePrior]] = MappingProxyType(
    {
        ModelKind.VIDEO: RunTimePrior(180.0, 0.8),  # minutes, within a factor of two or so
        ModelKind.MODEL_3D: RunTimePrior(120.0, 0.9),
        ModelKind.AUDIO: RunTimePrior(30.0, 1.0),
        ModelKind.IMAGE: RunTimePrior(20.0, 1.0),
        ModelKind.TEXT: RunTimePrior(6.0, 1.0),
    }
)

_RULES: Final[tuple[tuple[re.Pattern[str], ModelKind], ...]] = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        # Explicit phrases first: "rhart-video/wan-2.2/text-to-image" makes an image.
        ("to-video", ModelKind.VIDEO),
        ("to-image|to-world|kontext", ModelKind.IMAGE),
        ("to-(?:audio|music|speech)", ModelKind.AUDIO),
        ("to-3d", ModelKind.MODEL_3D),
        ("to-text|/chat|lyrics|describe-|recognize-|identify-|upload-", ModelKind.TEXT),
        ("video|motion|avatar|i2v|t2v", ModelKind.VIDEO),
        ("tts|audio|music|voice|vocal|song|bgm|instrumental", ModelKind.AUDIO),
        ("image|seedream", ModelKind.IMAGE),
    )
)


def model_kind(endpoint: str) -> ModelKind:
    """Guess what a model makes; video, the trade of this library, where the endpoint does not say."""
    return next((kind for pattern, kind in _RULES if pattern.search(endpoint.lower())), ModelKind.VIDEO)


def run_time_prior(endpoint: str) -> RunTimePrior:
    """Guess how long jobs of a model run, before any of them has settled."""
    return PRIORS[model_kind(endpoint)]
