"""Which models there are, what each takes, what it costs and how long it runs (contract 2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from types import MappingProxyType
from typing import Literal

from attrs import evolve, field, frozen

Kind = Literal["image", "video", "text", "option", "flag", "list"]
RunTime = float | Callable[[str, Random], float] | None
"""How long tasks run: None draws from each model's own log-normal, a number holds for all, a function decides."""

_MB = 1024 * 1024
_JPG_PNG = frozenset({"jpg", "jpeg", "png"})
_SPREAD = 0.4  #: sigma of the log-normal run times


@frozen(kw_only=True)
class Field:
    """One parameter of a model.

    :param accept: the file extensions it takes, for media.
    :param largest: in bytes, for media; None where the contract contradicts itself.
    :param longest: in characters, for text.
    """

    name: str
    kind: Kind
    required: bool = False
    accept: frozenset[str] = frozenset()
    largest: int | None = None
    options: tuple[str, ...] = ()
    longest: int | None = None

    @property
    def by_name(self) -> bool:
        """Whether it takes an upload's file name rather than a link (contract 2.5)."""
        return "##" in self.name


@frozen(kw_only=True)
class Model:
    """One endpoint.

    :param price: CNY per second of driving video, None if it is not on the list.
    :param median: of its run times, in seconds.
    :param limit: how many of its tasks the server runs at once; None for no limit of its own.
    :param comfy: whether it is a workflow behind a model's face, which shows in ``promptTips``.
    """

    endpoint: str
    fields: tuple[Field, ...] | None = field(default=None)
    price: Decimal | None = None
    median: float = 60.0
    limit: int | None = None
    comfy: bool = False

    def run_time(self, rule: RunTime, rng: Random) -> float:
        """Draw how long one task runs, in unscaled seconds."""
        if rule is None:
            return rng.lognormvariate(math.log(self.median), _SPREAD)
        return rule(self.endpoint, rng) if callable(rule) else float(rule)


_KLING = (
    Field(name="imageUrl", kind="image", required=True, accept=_JPG_PNG, largest=10 * _MB),
    Field(name="videoUrl", kind="video", required=True, accept=frozenset({"mp4"}), largest=100 * _MB),
    Field(name="characterOrientation", kind="option", required=True, options=("image", "video")),
    Field(name="prompt", kind="text", longest=2500),
)
_KLING_26 = (*_KLING, Field(name="keepOriginalSound", kind="option", options=("yes", "no")))
_KLING_30 = (
    *_KLING,
    Field(name="negativePrompt", kind="text", longest=2500),
    Field(name="keepOriginalSound", kind="flag"),
    Field(name="elementList", kind="list"),
)
_DREAM_ACTOR = (
    Field(name="imageUrl", kind="image", required=True, accept=_JPG_PNG, largest=5 * _MB),
    Field(name="videoUrl", kind="video", required=True, accept=frozenset({"mp4", "mov", "webm"}), largest=100 * _MB),
)
_WAN_22 = (
    Field(name="299##image", kind="image", required=True, accept=_JPG_PNG, largest=10 * _MB),
    Field(name="275##video", kind="video", required=True, accept=frozenset({"mp4", "mov"})),
)


def _kling(version: str, fields: tuple[Field, ...], price: str, median: float) -> Model:
    endpoint = f"kling-{version}/motion-control"
    return Model(endpoint=endpoint, fields=fields, price=Decimal(price), median=median, limit=100)


MOTION_MODELS: Mapping[str, Model] = MappingProxyType(
    {
        model.endpoint: model
        for model in (
            _kling("v3.0-std", _KLING_30, "0.81", 180.0),
            _kling("v3.0-pro", _KLING_30, "1.08", 240.0),
            _kling("v2.6-std", _KLING_26, "0.35", 140.0),
            _kling("v2.6-pro", _KLING_26, "0.56", 200.0),
            Model(endpoint="bytedance/dreamactor-v2", fields=_DREAM_ACTOR, price=Decimal("0.32"), median=100.0),
            Model(
                endpoint="rhart-video/wan2.2/character-motion-transfer",
                fields=_WAN_22,
                price=Decimal("0.24"),
                median=160.0,
                limit=500,
                comfy=True,
            ),
        )
    }
)
# The only models of the list prices and the catalogue whose path has a single part.
_SINGLE_PART = frozenset(
    {
        "cinematic-video-generator",
        "kling-elements",
        "kling-elements-advanced",
        "pixverse-v5.5-effects",
        "pixverse-v5.5-transition",
    }
)
_WITHDRAWN = frozenset({"kling-v3.0-4k/motion-control"})  # an empty stub: contract 12.1
_NOT_MODELS = frozenset(
    {"aiapp", "api-key", "assets", "media", "price-preview", "query", "queue", "resource", "run"}  # contract 4-6
)


@frozen
class Catalogue:
    """The models of one emulator: the motion family, and every other path as a model that takes anything.

    :param limits: per endpoint, in place of the documented concurrency.
    """

    limits: Mapping[str, int] = field(factory=dict)

    def find(self, endpoint: str) -> Model | None:
        """Return the model behind a path, or None when there is none."""
        model = MOTION_MODELS.get(endpoint)
        if model is None and _could_be(endpoint):
            model = Model(endpoint=endpoint)
        if model is not None and endpoint in self.limits:
            return evolve(model, limit=self.limits[endpoint])
        return model


def _could_be(endpoint: str) -> bool:
    if endpoint in _WITHDRAWN or endpoint.partition("/")[0] in _NOT_MODELS:
        return False
    return "/" in endpoint.strip("/") or endpoint in _SINGLE_PART
