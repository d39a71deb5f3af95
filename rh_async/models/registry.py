"""Lists the models that have a name of their own, one row each; the command line, manifests and planning read it.

A new model is a row here and a request class; its options are those attrs fields of the class that describe themselves.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from os.path import commonprefix
from typing import Any

from attrs import NOTHING, field, fields, frozen

from .base import Request
from .bytedance import DreamActor
from .kling import V3_ONLY, KlingMotionControl
from .media_limits import MediaLimits
from .request_option import RequestOption, option_of
from .wan import CharacterMotionTransfer

DEFAULT_MODEL = "kling-v3.0-std"
_EXAMPLE = "example"


@frozen(kw_only=True, eq=False)
class ModelSpec:
    """Describe one model.

    :param alias: its name on the command line and in manifests.
    :param series: the name that it shares with models of the same limits.
    :param request_class: makes its requests.
    :param fixed: arguments of the class that the alias stands for.
    :param without: options of the class that this model does not have.
    :param assessed_by: the attributes of a request on which its limits and its price depend: requests that are equal in
        them are checked once. Texts are no such attributes, so that a thousand prompts for one clip cost one check.
    """

    alias: str
    series: str
    request_class: type[Request]
    fixed: Mapping[str, Any] = field(factory=dict)
    without: frozenset[str] = frozenset()
    assessed_by: tuple[str, ...] = ("image", "video")

    @property
    def options(self) -> Mapping[str, RequestOption]:
        """What a caller may set, by name, in the order of the class."""
        described = {one.name: option_of(one) for one in fields(self.request_class)}
        absent = self.fixed.keys() | self.without
        return {name: found for name, found in described.items() if found is not None and name not in absent}

    @property
    def required(self) -> frozenset[str]:
        """The options without a default."""
        return frozenset(one.name for one in fields(self.request_class) if one.default is NOTHING) & self.options.keys()

    @property
    def endpoint(self) -> str:
        """The model's path below ``/openapi/v2/``, by which the price list names it, too."""
        return self._example().endpoint

    @property
    def limits(self) -> Mapping[str, MediaLimits]:
        """The documented limits of each media field, with all other options at their defaults."""
        return self._example().limits

    def request(self, **options: Any) -> Request:
        """Make a request.

        :raises InvalidRequestError: an option breaks a rule.
        """
        return self.request_class(**self.fixed, **options)

    def assessment_key(self, request: Request) -> Hashable:
        """Return what is equal for two requests of this model that planning may check once."""
        return type(request), *(getattr(request, name) for name in self.assessed_by)

    def _example(self) -> Request:
        return self.request(**dict.fromkeys(self.required, _EXAMPLE))


def _kling(alias: str, without: frozenset[str] = frozenset()) -> ModelSpec:
    return ModelSpec(
        alias=alias,
        series="kling",
        request_class=KlingMotionControl,
        fixed={"model": alias},
        without=without,
        assessed_by=("model", "orientation", "image", "video"),
    )


MODELS: tuple[ModelSpec, ...] = (
    _kling("kling-v3.0-std"),
    _kling("kling-v3.0-pro"),
    _kling("kling-v2.6-std", without=V3_ONLY),
    _kling("kling-v2.6-pro", without=V3_ONLY),
    ModelSpec(alias="dreamactor-v2", series="dreamactor-v2", request_class=DreamActor),
    ModelSpec(alias="wan2.2", series="wan2.2", request_class=CharacterMotionTransfer),
)


def aliases() -> tuple[str, ...]:
    """Return the names of all models, in the order of the registry."""
    return tuple(spec.alias for spec in MODELS)


def find_spec(alias: str) -> ModelSpec | None:
    """Return the model of that name, None where there is none."""
    return next((spec for spec in MODELS if spec.alias == alias), None)


def spec_of(request: Request) -> ModelSpec | None:
    """Return a model that makes such requests, None for a `ModelRequest`."""
    return next((spec for spec in MODELS if isinstance(request, spec.request_class)), None)


def one_of_each_series() -> Iterator[ModelSpec]:
    """Return the first model of each series."""
    first: dict[str, ModelSpec] = {}
    for spec in MODELS:
        first.setdefault(spec.series, spec)
    yield from first.values()


def all_options() -> Mapping[str, RequestOption]:
    """Return every option that some model takes."""
    return {name: found for spec in MODELS for name, found in spec.options.items()}


def takers(option: str) -> str:
    """Name the models that take an option, by what their names begin with; "" where all take it."""
    names = [spec.alias for spec in MODELS if option in spec.options]
    if len(names) in {1, len(MODELS)}:
        return names[0] if len(names) < len(MODELS) else ""
    shared = commonprefix(names).rstrip("-v")  # noqa: RUF071 - names of models, character by character
    return shared or ", ".join(names)
