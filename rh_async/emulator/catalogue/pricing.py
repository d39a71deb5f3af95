"""Prices a request by the published price list (contract 2.1, 11)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attrs import frozen

from rh_async.emulator.catalogue.emulated_models import ListPrice, Model, PriceRule

_DEFAULT_VIDEO_SECONDS = 5.0  #: of a driving video whose duration is not known
_QUANTITY_FIELDS = ("n", "imageNum", "maxImages")
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)


@frozen
class Price:
    """The price of one unit, and how many units a request takes."""

    unit_price: Decimal
    unit: str
    quantity: int

    @property
    def total(self) -> Decimal:
        return self.unit_price * self.quantity


def request_price(model: Model, body: Mapping[str, Any], video_seconds: float | None = None) -> Price | None:
    """Return the price of a request; None if the list has no price for it.

    :param video_seconds: the duration of the driving video, None if it is not known.
    """
    if model.list_price is None:
        return None
    values, unit = _field_values(model, body), model.list_price.unit
    rule = _most_specific_rule(model.list_price, values)
    if rule is None:
        return None
    per_item = unit == "image" or "" in rule.when.values()  # a rule for any quantity gives the price of one item
    quantity = _item_count(values) if per_item else _unit_count(unit, values, video_seconds)
    return Price(rule.unit_price, unit, quantity)


def _field_values(model: Model, body: Mapping[str, Any]) -> dict[str, str]:
    """Return the value of each field, sent or default, in the price list's spelling."""
    defaults = {field.name: field.default for field in model.fields or () if field.default is not None}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in {**defaults, **body}.items()
    }


def _most_specific_rule(list_price: ListPrice, values: dict[str, str]) -> PriceRule | None:
    matching = [
        rule
        for rule in list_price.rules
        if all(values.get(name) == wanted for name, wanted in rule.when.items() if wanted)
    ]
    return max(matching, key=lambda rule: len(rule.when), default=None)


def _unit_count(unit: str, values: dict[str, str], video_seconds: float | None) -> int:
    if "second" in unit:
        started_seconds = math.ceil(_output_seconds(values, video_seconds))
        return math.ceil(started_seconds / 5) if unit.startswith("5 ") else started_seconds
    if "characters" in unit:
        return max(1, math.ceil(len(values.get("text", values.get("prompt", ""))) / 1000))
    return 1


def _item_count(values: dict[str, str]) -> int:
    return max(1, int(_first_number(values, _QUANTITY_FIELDS) or 1))


def _output_seconds(values: dict[str, str], video_seconds: float | None) -> float:
    """Return the requested duration; models without that field are billed by the driving video."""
    return _first_number(values, ("duration",)) or (_DEFAULT_VIDEO_SECONDS if video_seconds is None else video_seconds)


def _first_number(values: dict[str, str], names: tuple[str, ...]) -> float | None:
    found = next((values[name] for name in names if name in values), "")
    return float(found) if _NUMBER.fullmatch(found) else None
