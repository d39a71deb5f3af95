"""Explains the columns of a manifest: what each asks for, and which models take it. Blocks: the catalogue is a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from attrs import frozen

from rh_async.models.catalog import Param, find_model

from .row_parser import MODELS, columns_of

_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "image": "the character image: a path that begins at the manifest's folder, or a link",
        "video": "the driving video, likewise",
        "model": f"one of {', '.join(MODELS)}, or the endpoint of any other model; --model for rows that do not say",
        "key": "your name for the job, under which it is bought once; made from model, options and files if empty",
        "orientation": "whether the character faces as in the 'video' (the default) or as in the 'image'",
        "prompt": "up to 2,500 characters",
        "negative_prompt": "up to 2,500 characters",
        "keep_original_sound": "true (the default) or false",
        "elements": "ids of elements, with ; between them",
        "webhook_url": "an address the server calls when the job is over",
    }
)
_NEEDED = frozenset({"image", "video"})


@frozen
class Column:
    """A column, explained.

    :param takers: the models that take it; empty where all do.
    """

    name: str
    words: str
    is_needed: bool = False
    takers: tuple[str, ...] = ()


def explained() -> tuple[Column, ...]:
    """The columns of the models that have names here."""
    return tuple(Column(name, words, name in _NEEDED, _takers(name)) for name, words in _WORDS.items())


def explained_fields(endpoint: str) -> tuple[Column, ...]:
    """The columns of any model by its endpoint; none where the catalogue does not know it."""
    model = find_model(endpoint)
    fields = [_field(param) for param in model.params.values()] if model else []
    shared = [one for one in explained() if one.name in {"model", "key", "webhook_url"}]
    return (*fields, *shared) if fields else ()


def _takers(name: str) -> tuple[str, ...]:
    takers = tuple(model for model in MODELS if name in columns_of(model))
    return () if name in {"model", "key"} or len(takers) == len(MODELS) else takers


def _field(param: Param) -> Column:
    return Column(param.name, ", ".join(_said(param)), param.required and param.default is None)


def _said(param: Param) -> Iterator[str]:
    many = "several, with ; between them: " if param.multiple else ""
    yield f"{many}{'a path or a link: ' if param.is_media else ''}{param.type.lower()}"
    if param.options:
        yield f"one of {', '.join(param.options)}"
    if param.default is not None:
        yield f"{param.default} by default"
