"""What a request costs by the list, where the list says it plainly. A price nobody stated is None, never a guess."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import field, frozen

from rh_async._media.media_info import MediaInfo
from rh_async.issues import Issue
from rh_async.models.base import Request

from .catalog import Model, data, find_model

_COUNTS = frozenset({"imageNum", "n", "maxImages"})


@frozen
class Price:
    """Money, and which.

    :param each: what one unit costs, of a price that is made of several; None where that is unknown.
    """

    amount: Decimal
    currency: str
    each: Decimal | None = field(default=None, eq=False, repr=False)


def price_list_version() -> str:
    """Which list it is, with its date. Blocks: call it off the loop."""
    return str(data("prices.json")["version"])


def list_price(request: Request, seen: Mapping[Path, MediaInfo | Issue]) -> Price | None:
    """What the list asks for a request, or None where it does not say. Blocks: call it off the loop.

    :param seen: what each of its local files is: most are priced by the started second of driving video.
    """
    said = data("prices.json")["prices"].get(request.endpoint)
    if said is None:
        return None
    model = find_model(request.endpoint)
    fields = _written(request, model)
    each, times = _each(said, fields), _times(said["unit"], request, fields, seen, model)
    return None if each is None or times is None else Price(each * times, said["currency"], each)


def _written(request: Request, model: Model | None) -> dict[str, str]:
    """Every field that has a value or a default, as the list writes values."""
    params = model.params.values() if model else ()
    known = {param.name: param.default for param in params if param.default is not None}
    return {name: _word(value) for name, value in {**known, **request.parameters()}.items()}


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _each(said: Mapping[str, Any], fields: Mapping[str, str]) -> Decimal | None:
    if said["type"] == "fixed":
        return Decimal(str(said["price"]))
    rules = said.get("rules", ())
    fits = (rule for rule in rules if all(value and fields.get(name) == value for name, value in rule["when"].items()))
    found = {Decimal(str(rule["price"])) for rule in fits}
    return found.pop() if len(found) == 1 else None  # two prices for the same values are no price


def _times(
    unit: str,
    request: Request,
    fields: Mapping[str, str],
    seen: Mapping[Path, MediaInfo | Issue],
    model: Model | None,
) -> int | None:
    if unit == "call":
        return 1
    if unit == "image":
        return next((_whole(fields[name]) for name in _COUNTS if name in fields), 1)
    return _seconds(request, fields, seen, model) if unit == "second" else None


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _seconds(
    request: Request, fields: Mapping[str, str], seen: Mapping[Path, MediaInfo | Issue], model: Model | None
) -> int | None:
    """The asked duration, or the driving video's; with both, nobody says which of them is billed."""
    filmed = list(_films(request, model))
    if "duration" in fields:
        return None if filmed else _whole(fields["duration"])
    facts = seen.get(filmed[0]) if len(filmed) == 1 and isinstance(filmed[0], Path) else None
    long = facts.seconds if isinstance(facts, MediaInfo) else None
    return None if long is None else math.ceil(round(long, 3))


def _films(request: Request, model: Model | None) -> Iterator[object]:
    """What is given in the fields that take video or sound."""
    fields = request.parameters()
    for param in model.params.values() if model else ():
        if param.type in {"VIDEO", "AUDIO"} and fields.get(param.name) is not None:
            value = fields[param.name]
            yield from value if isinstance(value, list | tuple) else (value,)
