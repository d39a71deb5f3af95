"""Which models there are: the published catalogue and price list, in a copy of the emulator's own (contract 2, 11)."""

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
    {"aiapp", "api-key", "assets", "media", "price-preview", "query", "queue", "resource", "run"}  # contract 4-6
)


@cache
def published_models() -> Mapping[str, Model | None]:
    """Every model of the catalogue, None for one that is only announced. Blocks at first: call it off the loop."""
    text = (files(__package__) / "catalogue.json").read_text(encoding="utf-8")
    models = json.loads(text)["models"]
    return MappingProxyType({endpoint: _model(endpoint, said) for endpoint, said in models.items()})


@frozen
class ModelCatalogue:
    """The models of one emulator: those that are published, and every other path as a model that takes anything.

    :param limits: per endpoint, in place of the documented concurrency.
    """

    limits: Mapping[str, int] = field(factory=dict)

    def find(self, endpoint: str) -> Model | None:
        """Return the model behind a path, or None when there is none."""
        known = published_models()
        model = known[endpoint] if endpoint in known else _undocumented_model(endpoint)
        if model is not None and endpoint in self.limits:
            return evolve(model, limit=self.limits[endpoint])
        return model


def _undocumented_model(endpoint: str) -> Model | None:
    """A path that nobody published may be a model of tomorrow, if it looks like one."""
    could_be = "/" in endpoint.strip("/") and endpoint.partition("/")[0] not in _RESERVED_PATHS
    return Model(endpoint=endpoint) if could_be else None


def _model(endpoint: str, said: Mapping[str, Any]) -> Model | None:
    if said.get("withdrawn"):  # an empty stub: contract 12.1
        return None
    output = said["output"]
    return Model(
        endpoint=endpoint,
        fields=None if said.get("partial") else tuple(map(_field, said["fields"])),
        closed=said.get("closed", False),
        output=output,
        list_price=_tariff(said["price"]) if "price" in said else None,
        median=said.get("median", MEDIAN_RUN_TIMES[output]),
        limit=said.get("limit"),
    )


def _field(said: Mapping[str, Any]) -> ModelField:
    megabytes = said.get("megabytes")
    return ModelField(
        name=said["name"],
        kind=said["kind"],
        required=said.get("required", False),
        default=said.get("default"),
        accept=frozenset(said.get("accept", ())),
        largest=None if megabytes is None else int(megabytes * (1 << 20)),
        options=tuple(said.get("options", ())),
        max_length=said.get("longest"),
        least=said.get("min"),
        most=said.get("max"),
        many=said.get("many", False),
        max_items=said.get("most"),
    )


def _tariff(said: Mapping[str, Any]) -> ListPrice:
    rules = said.get("rules") or [{"when": {}, "each": said["each"]}]
    return ListPrice(
        unit=said["unit"], rules=tuple(PriceRule(when=rule["when"], each=Decimal(rule["each"])) for rule in rules)
    )
