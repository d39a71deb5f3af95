"""Loads the published models and prices, from a copy that the emulator shares with no client (contract 2, 11)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from attrs import evolve, field, frozen

from rh_async.emulator.catalogue.emulated_models import MEDIAN_RUN_TIMES, ListPrice, Model, ModelField, PriceRule

_RESERVED_PATHS = frozenset(
    {"aiapp", "api-key", "assets", "media", "price-preview", "query", "queue", "resource", "run"}  # contract 4 to 6
)


@cache
def published_models() -> Mapping[str, Model | None]:
    """Return the models of the catalogue by endpoint, None for one that is only announced.

    The first call reads a file: make it off the event loop.
    """
    text = (files(__package__) / "catalogue.json").read_text(encoding="utf-8")
    models = json.loads(text)["models"]
    return MappingProxyType({endpoint: _parse_model(endpoint, entry) for endpoint, entry in models.items()})


@frozen
class ModelCatalogue:
    """The models of one emulator: the published ones, and every other path as a model that accepts anything.

    :param limits: concurrency limits by endpoint, in place of the documented ones.
    """

    limits: Mapping[str, int] = field(factory=dict)

    def find(self, endpoint: str) -> Model | None:
        """Return the model of an endpoint; None if there is none."""
        published = published_models()
        model = published[endpoint] if endpoint in published else _undocumented_model(endpoint)
        if model is not None and endpoint in self.limits:
            return evolve(model, concurrency_limit=self.limits[endpoint])
        return model


def _undocumented_model(endpoint: str) -> Model | None:
    """Return a model for an endpoint that the catalogue does not list, if the path can be one."""
    has_two_parts = "/" in endpoint.strip("/")
    return Model(endpoint=endpoint) if has_two_parts and endpoint.partition("/")[0] not in _RESERVED_PATHS else None


def _parse_model(endpoint: str, entry: Mapping[str, Any]) -> Model | None:
    if entry.get("withdrawn"):  # contract 12.1: an empty row of the vendor's registry
        return None
    output_kind = entry["output"]
    return Model(
        endpoint=endpoint,
        fields=None if entry.get("partial") else tuple(map(_parse_field, entry["fields"])),
        rejects_unknown_fields=entry.get("closed", False),
        output_kind=output_kind,
        list_price=_parse_list_price(entry["price"]) if "price" in entry else None,
        median_run_time=entry.get("median", MEDIAN_RUN_TIMES[output_kind]),
        concurrency_limit=entry.get("limit"),
    )


def _parse_field(entry: Mapping[str, Any]) -> ModelField:
    megabytes = entry.get("megabytes")
    return ModelField(
        name=entry["name"],
        kind=entry["kind"],
        required=entry.get("required", False),
        default=entry.get("default"),
        extensions=frozenset(entry.get("accept", ())),
        max_bytes=None if megabytes is None else int(megabytes * (1 << 20)),
        options=tuple(entry.get("options", ())),
        max_length=entry.get("longest"),
        minimum=entry.get("min"),
        maximum=entry.get("max"),
        is_list=entry.get("many", False),
        max_items=entry.get("most"),
    )


def _parse_list_price(entry: Mapping[str, Any]) -> ListPrice:
    rules = entry.get("rules") or [{"when": {}, "each": entry["each"]}]
    parsed = tuple(PriceRule(when=rule["when"], unit_price=Decimal(rule["each"])) for rule in rules)
    return ListPrice(unit=entry["unit"], rules=parsed)
