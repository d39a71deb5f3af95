"""Reads what a request costs from the price list. A price that the list does not state is None, never a guess."""

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
    """Hold an amount and its currency.

    :param each: what one unit costs, where the price is a multiple of it; None where that is unknown.
    """

    amount: Decimal
    currency: str
    each: Decimal | None = field(default=None, eq=False, repr=False)


def price_list_version() -> str:
    """Return the name of the price list, with its date. Blocks: call it off the loop."""
    return str(data("prices.json")["version"])


def list_price(request: Request, media_info: Mapping[Path, MediaInfo | Issue]) -> Price | None:
    """Return what the list asks for a request; None where it does not say. Blocks: call it off the loop.

    :param seen: what each of its local files is: most models are priced by the started second of driving video.
    """
    row = data("prices.json")["prices"].get(request.endpoint)
    if row is None:
        return None
    model = find_model(request.endpoint)
    fields = _as_listed(request, model)
    each, units = _unit_price(row, fields), _units(row["unit"], request, fields, media_info, model)
    return None if each is None or units is None else Price(each * units, row["currency"], each)


def _as_listed(request: Request, model: Model | None) -> dict[str, str]:
    """Return every field that has a value or a default, written as the list writes values."""
    params = model.params.values() if model else ()
    known = {param.name: param.default for param in params if param.default is not None}
    return {name: _as_text(value) for name, value in {**known, **request.parameters()}.items()}


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unit_price(row: Mapping[str, Any], fields: Mapping[str, str]) -> Decimal | None:
    if row["type"] == "fixed":
        return Decimal(str(row["price"]))
    rules = row.get("rules", ())
    fits = (rule for rule in rules if all(value and fields.get(name) == value for name, value in rule["when"].items()))
    found = {Decimal(str(rule["price"])) for rule in fits}
    return found.pop() if len(found) == 1 else None  # two prices for the same values are no price


def _units(
    unit: str,
    request: Request,
    fields: Mapping[str, str],
    media_info: Mapping[Path, MediaInfo | Issue],
    model: Model | None,
) -> int | None:
    if unit == "call":
        return 1
    if unit == "image":
        return next((_whole(fields[name]) for name in _COUNTS if name in fields), 1)
    return _billed_seconds(request, fields, media_info, model) if unit == "second" else None


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _billed_seconds(
    request: Request, fields: Mapping[str, str], media_info: Mapping[Path, MediaInfo | Issue], model: Model | None
) -> int | None:
    """Return the wanted duration, or the driving video's; with both, no document says which of them is billed."""
    videos = list(_videos(request, model))
    if "duration" in fields:
        return None if videos else _whole(fields["duration"])
    info = media_info.get(videos[0]) if len(videos) == 1 and isinstance(videos[0], Path) else None
    long = info.seconds if isinstance(info, MediaInfo) else None
    return None if long is None else math.ceil(round(long, 3))


def _videos(request: Request, model: Model | None) -> Iterator[object]:
    """Yield the values of the fields that take video or sound."""
    fields = request.parameters()
    for param in model.params.values() if model else ():
        if param.type in {"VIDEO", "AUDIO"} and fields.get(param.name) is not None:
            value = fields[param.name]
            yield from value if isinstance(value, list | tuple) else (value,)
