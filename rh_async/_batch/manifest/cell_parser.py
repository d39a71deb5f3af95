"""Reads one cell of a manifest: what its column holds, from text or from a value of JSON or TOML."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from rh_async._batch.planning.path_lookup import strip_invisible
from rh_async.models.base import MediaValue, short_repr, takes_file_name
from rh_async.models.catalog import Param
from rh_async.models.request_option import OptionKind

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class InvalidCell(Exception):
    """A value that cannot be what its column holds; says why, and what it should be."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.why, self.hint = why, hint


class MediaResolver(Protocol):
    """Knows where the files of a manifest are."""

    def media(self, value: object) -> MediaValue:
        """Tell a local file from a link.

        :raises InvalidCell: it is neither.
        """


CellParser = Callable[[object, MediaResolver], object]
"""Reads a value; raises `InvalidCell`."""


def _media(value: object, reader: MediaResolver) -> object:
    return reader.media(value)


def _text(value: object, _: MediaResolver) -> object:
    return value  # a prompt is sent as it is: a space more would be another job


def _word(value: object, _: MediaResolver) -> object:
    return strip_invisible(value) if isinstance(value, str) else value


def _flag(value: object, _: MediaResolver) -> object:
    if isinstance(value, bool):
        return value
    try:
        return _WORDS[strip_invisible(str(value)).lower()]
    except KeyError:
        raise InvalidCell(f"{short_repr(value)} is neither yes nor no", "Write true or false") from None


def _items(value: object, _: MediaResolver) -> object:
    if not isinstance(value, str):
        return value
    return (
        _json(value)
        if value.lstrip().startswith(("[", "{"))
        else [one.strip() for one in value.split(";") if one.strip()]
    )


def _json(value: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InvalidCell(f"{short_repr(value)} is no JSON", "Write it as JSON") from error


def _number(kind: type[int | float]) -> CellParser:
    def read(value: object, _: MediaResolver) -> object:
        try:
            return kind(value) if isinstance(value, str) else value
        except ValueError:
            raise InvalidCell(f"{short_repr(value)} is no number", "Write digits") from None

    return read


def _several(value: object, reader: MediaResolver) -> object:
    items = _items(value, reader)
    return [reader.media(one) for one in items] if isinstance(items, list) else [reader.media(items)]


def by_type(param: Param) -> CellParser:
    """How to read a field of the catalogue."""
    if param.is_media:
        return _several if param.multiple else _media
    if param.type == "COMPLEX" or param.multiple:
        return _items
    return {"INT": _number(int), "FLOAT": _number(float), "BOOLEAN": _flag}.get(
        param.type, _word if param.options else _text
    )


def guessed(name: str) -> CellParser:
    """How to read a column that nobody documented: as media where its name says so."""
    if takes_file_name(name) and name.endswith(("image", "video", "audio")):
        return _media
    return _media if name.endswith(("Url", "_url")) else _several if name.endswith(("Urls", "_urls")) else _text


_BY_KIND: Mapping[OptionKind, CellParser] = MappingProxyType(
    {
        "media": _media,
        "text": _text,
        "word": _word,
        "flag": _flag,
        "items": _items,
        "integer": _number(int),
        "number": _number(float),
    }
)


def by_kind(kind: OptionKind) -> CellParser:
    """How to read an option of a model that has a name of its own."""
    return _BY_KIND[kind]
