"""What a model is to the server: the fields it takes, what it makes, what that costs and how long it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from types import MappingProxyType
from typing import Literal

from attrs import field, frozen

Kind = Literal["image", "video", "audio", "text", "option", "flag", "whole", "number", "list", "any"]
OutputKind = Literal["video", "image", "audio", "3d", "text"]
RunTime = float | Callable[[str, Random], float] | None
"""How long tasks run: None draws from each model's own log-normal, a number holds for all, a function decides."""

_SIGMA = 0.4  #: sigma of the log-normal run times
MEDIAN_RUN_TIMES: Mapping[OutputKind, float] = MappingProxyType(
    {"video": 120.0, "image": 20.0, "audio": 30.0, "3d": 90.0, "text": 8.0}
)
"""Of the run times of a model of which nothing better is known, in seconds."""


@frozen(kw_only=True)
class ModelField:
    """One parameter of a model.

    :param default: what the server takes where nothing is sent, which may decide the price.
    :param accept: the file extensions it takes, for media.
    :param largest: in bytes, for media; None where the contract contradicts itself.
    :param longest: in characters, for text.
    :param least: for numbers.
    :param most: for numbers.
    :param many: whether it takes a list.
    :param most_items: of that list.
    """

    name: str
    kind: Kind
    required: bool = False
    default: object = None
    accept: frozenset[str] = frozenset()
    largest: int | None = None
    options: tuple[str, ...] = ()
    max_length: int | None = None
    least: float | None = None
    most: float | None = None
    many: bool = False
    max_items: int | None = None

    @property
    def takes_file_name(self) -> bool:
        """Whether it takes an upload's file name rather than a link (contract 2.5)."""
        return "##" in self.name


@frozen(kw_only=True)
class PriceRule:
    """What one unit costs where fields have certain values; an empty value stands for any."""

    when: Mapping[str, str]
    each: Decimal


@frozen(kw_only=True)
class ListPrice:
    """What the published list asks for a model, in CNY.

    :param unit: ``call``, ``image``, ``second``, ``5 seconds``, ``1000 characters``.
    """

    unit: str
    rules: tuple[PriceRule, ...]


@frozen(kw_only=True)
class Model:
    """One endpoint.

    :param fields: what it takes; None where options and limits are not known, so that nothing is refused by them.
    :param closed: whether anything else is refused; the catalogue leaves parameters out, so that few models are.
    :param output: what kind of thing it makes.
    :param tariff: what it costs; None if it is not on the list.
    :param median: of its run times, in seconds.
    :param limit: how many of its tasks the server runs at once; None for no limit of its own.
    """

    endpoint: str
    fields: tuple[ModelField, ...] | None = field(default=None)
    closed: bool = False
    output: OutputKind = "video"
    list_price: ListPrice | None = None
    median: float = 60.0
    limit: int | None = None

    @property
    def is_workflow(self) -> bool:
        """Whether it is a workflow behind a model's face, which shows in ``promptTips``."""
        return any(field.takes_file_name for field in self.fields or ())

    def run_time(self, rule: RunTime, rng: Random) -> float:
        """Draw how long one task runs, in unscaled seconds."""
        if rule is None:
            return rng.lognormvariate(math.log(self.median), _SIGMA)
        return rule(self.endpoint, rng) if callable(rule) else float(rule)
