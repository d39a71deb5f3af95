"""What a task costs: by the published list, and by what its request asks for (contract 2.1, 11)."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from attrs import frozen

from rh_async.emulator.catalogue.emulated_models import ListPrice, Model, PriceRule
from rh_async.emulator.http.payloads import Json
from rh_async.emulator.http.request_validation import TaskInputs

_UNKNOWN_LENGTH = 5.0  #: seconds a video is taken to last when it does not say
_HOW_MANY = ("n", "imageNum", "maxImages")
_AMOUNT = re.compile(r"\d+(\.\d+)?", re.ASCII)


@frozen
class Price:
    """What one unit costs, and how many of them a request takes."""

    each: Decimal
    unit: str
    units: int

    @property
    def whole(self) -> Decimal:
        return self.each * self.units


def request_price(model: Model, body: Json, inputs: TaskInputs) -> Price | None:
    """Price a request; None where the list names no price for it."""
    if model.list_price is None:
        return None
    values, unit = _values(model, body), model.list_price.unit
    rule = _rule(model.list_price, values)
    if rule is None:
        return None
    by_number = unit == "image" or "" in rule.when.values()  # a rule for any number is a rule for each of them
    return Price(rule.each, unit, _number(values) if by_number else _units(unit, values, inputs))


def _values(model: Model, body: Json) -> dict[str, str]:
    """Every field's value, sent or taken for granted, as the list writes values."""
    defaults = {field.name: field.default for field in model.fields or () if field.default is not None}
    return {name: _word(value) for name, value in {**defaults, **body}.items()}


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _rule(list_price: ListPrice, values: dict[str, str]) -> PriceRule | None:
    fits = [
        rule
        for rule in list_price.rules
        if all(values.get(name) == wanted for name, wanted in rule.when.items() if wanted)
    ]
    return max(fits, key=lambda rule: len(rule.when), default=None)


def _units(unit: str, values: dict[str, str], inputs: TaskInputs) -> int:
    if "second" in unit:
        started = math.ceil(_seconds(values, inputs))
        return math.ceil(started / 5) if unit.startswith("5 ") else started
    if "characters" in unit:
        return max(1, math.ceil(len(values.get("text", values.get("prompt", ""))) / 1000))
    return 1


def _number(values: dict[str, str]) -> int:
    return max(1, int(_amount(values, _HOW_MANY) or 1))


def _seconds(values: dict[str, str], inputs: TaskInputs) -> float:
    """What was asked for; where nothing can be, what the driving video lasts."""
    stated = inputs.video.seconds if inputs.video else None
    return _amount(values, ("duration",)) or (_UNKNOWN_LENGTH if stated is None else stated)


def _amount(values: dict[str, str], names: tuple[str, ...]) -> float | None:
    found = next((values[name] for name in names if name in values), "")
    return float(found) if _AMOUNT.fullmatch(found) else None
