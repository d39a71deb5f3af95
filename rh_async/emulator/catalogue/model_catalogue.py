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

from rh_async.emulator.catalogue.emulated_models import MEDIANS, Field, Model, Rule, Tariff

_NOT_MODELS = frozenset(
    {"aiapp", "api-key", "assets", "media", "price-preview", "query", "queue", "resource", "run"}  # contract 4-6
)


@cache
def published() -> Mapping[str, Model | None]:
    """Every model of the catalogue, None for one that is only announced. Blocks at first: call it off the loop."""
    text = (files(__package__) / "catalogue.json").read_text(encoding="utf-8")
    models = json.loads(text)["models"]
    return MappingProxyType({endpoint: _model(endpoint, said) for endpoint, said in models.items()})


@frozen
class Catalogue:
    """The models of one emulator: those that are published, and every other path as a model that takes anything.

    :param limits: per endpoint, in place of the documented concurrency.
    """

    limits: Mapping[str, int] = field(factory=dict)

    def find(self, endpoint: str) -> Model | None:
        """Return the model behind a path, or None when there is none."""
        known = published()
        model = known[endpoint] if endpoint in known else _unlisted(endpoint)
        if model is not None and endpoint in self.limits:
            return evolve(model, limit=self.limits[endpoint])
        return model


def _unlisted(endpoint: str) -> Model | None:
    """A path that nobody published may be a model of tomorrow, if it looks like one."""
    could_be = "/" in endpoint.strip("/") and endpoint.partition("/")[0] not in _NOT_MODELS
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
        tariff=_tariff(said["price"]) if "price" in said else None,
        median=said.get("median", MEDIANS[output]),
        limit=said.get("limit"),
    )


def _field(said: Mapping[str, Any]) -> Field:
    megabytes = said.get("megabytes")
    return Field(
        name=said["name"],
        kind=said["kind"],
        required=said.get("required", False),
        default=said.get("default"),
        accept=frozenset(said.get("accept", ())),
        largest=None if megabytes is None else int(megabytes * (1 << 20)),
        options=tuple(said.get("options", ())),
        longest=said.get("longest"),
        least=said.get("min"),
        most=said.get("max"),
        many=said.get("many", False),
        most_items=said.get("most"),
    )


def _tariff(said: Mapping[str, Any]) -> Tariff:
    rules = said.get("rules") or [{"when": {}, "each": said["each"]}]
    return Tariff(unit=said["unit"], rules=tuple(Rule(when=rule["when"], each=Decimal(rule["each"])) for rule in rules))
