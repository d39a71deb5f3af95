"""Describes an emulated model: its parameters, its list price, its output and its run time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from types import MappingProxyType
from typing import Literal

from attrs import frozen

FieldKind = Literal["image", "video", "audio", "text", "option", "flag", "whole", "number", "list", "any"]
OutputKind = Literal["video", "image", "audio", "3d", "text"]
RunTime = float | Callable[[str, Random], float] | None
"""How long tasks run: None draws from each model's log-normal, a number is for all, a function gets the endpoint."""

_SIGMA = 0.4  #: of the log-normal run times
MEDIAN_RUN_TIMES: Mapping[OutputKind, float] = MappingProxyType(
    {"video": 120.0, "image": 20.0, "audio": 30.0, "3d": 90.0, "text": 8.0}
)
"""Median run times in seconds, for models whose own median is not known."""


@frozen(kw_only=True)
class ModelField:
    """One parameter of a model.

    :param default: the value that the server uses when the request has none; the price may depend on it.
    :param extensions: the accepted file extensions, for media; empty for any of the kind.
    :param max_bytes: for media; None where the contract contradicts itself.
    :param options: the allowed values; empty for any.
    :param max_length: for text, in characters.
    :param minimum: for numbers.
    :param maximum: for numbers.
    :param is_list: whether the parameter takes a list of values.
    :param max_items: of that list.
    """

    name: str
    kind: FieldKind
    required: bool = False
    default: object = None
    extensions: frozenset[str] = frozenset()
    max_bytes: int | None = None
    options: tuple[str, ...] = ()
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    is_list: bool = False
    max_items: int | None = None

    @property
    def takes_file_name(self) -> bool:
        """Whether the value is the file name of an upload instead of a link (contract 2.5)."""
        return "##" in self.name


@frozen(kw_only=True)
class PriceRule:
    """The price of one unit when the request's fields have certain values.

    :param when: the value of each field; "" for any value.
    :param unit_price: in CNY.
    """

    when: Mapping[str, str]
    unit_price: Decimal


@frozen(kw_only=True)
class ListPrice:
    """The entry of a model in the published price list.

    :param unit: ``call``, ``image``, ``second``, ``5 seconds`` or ``1000 characters``.
    """

    unit: str
    rules: tuple[PriceRule, ...]


@frozen(kw_only=True)
class Model:
    """One endpoint.

    :param fields: its parameters; None where options and limits are not known, so that no value can be rejected.
    :param rejects_unknown_fields: whether other parameters are rejected; few models do, as the catalogue is incomplete.
    :param list_price: None if the model is not on the price list.
    :param median_run_time: in seconds.
    :param concurrency_limit: how many of its tasks the server runs at once; None for no limit.
    """

    endpoint: str
    fields: tuple[ModelField, ...] | None = None
    rejects_unknown_fields: bool = False
    output_kind: OutputKind = "video"
    list_price: ListPrice | None = None
    median_run_time: float = 60.0
    concurrency_limit: int | None = None

    @property
    def is_workflow(self) -> bool:
        """Whether a ComfyUI workflow is behind the endpoint, so that ``promptTips`` is filled (contract 2.5, 3.1)."""
        return any(field.takes_file_name for field in self.fields or ())

    def draw_run_time(self, run_time: RunTime, rng: Random) -> float:
        """Return the unscaled run time of one task, in seconds."""
        if run_time is None:
            return rng.lognormvariate(math.log(self.median_run_time), _SIGMA)
        return run_time(self.endpoint, rng) if callable(run_time) else float(run_time)
