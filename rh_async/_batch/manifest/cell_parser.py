"""Parses one cell of a manifest, from text or from a value of JSON or TOML, into what its column holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from rh_async._batch.planning.path_lookup import strip_invisible
from rh_async.models.base import MediaValue, short_repr, takes_file_name
from rh_async.models.catalog import Param
from rh_async.models.request_option import OptionKind

_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class InvalidCell(Exception):
    """Raised for a cell that cannot be a value of its column.

    :ivar message: why.
    :ivar hint: what to write.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class MediaResolver(Protocol):
    """Finds the files that the cells of a manifest name."""

    def media(self, value: object) -> MediaValue:
        """Tell a local file from a link.

        :raises InvalidCell: it is neither.
        """


CellParser = Callable[[object, MediaResolver], object]
"""Parses a cell; raises `InvalidCell`."""


def parser_of_option(kind: OptionKind) -> CellParser:
    """Return how a model's option is parsed."""
    return _BY_KIND[kind]


def parser_of_param(param: Param) -> CellParser:
    """Return how a field of the catalogue is parsed."""
    if param.is_media:
        return _media_list if param.multiple else _media
    if param.type == "COMPLEX" or param.multiple:
        return _items
    if param.type in _BY_TYPE:
        return _BY_TYPE[param.type]
    return _word if param.options else _text


def parser_of_column(name: str) -> CellParser:
    """Return how a column that the catalogue does not know is parsed: as media where its name says so."""
    if takes_file_name(name) and name.endswith(("image", "video", "audio")):
        return _media
    if name.endswith(("Url", "_url")):
        return _media
    return _media_list if name.endswith(("Urls", "_urls")) else _text


def _media(value: object, resolver: MediaResolver) -> object:
    return resolver.media(value)


def _media_list(value: object, resolver: MediaResolver) -> object:
    items = _items(value, resolver)
    return [resolver.media(one) for one in (items if isinstance(items, list) else [items])]


def _text(value: object, _: MediaResolver) -> object:
    return value  # a prompt is sent unchanged: with one space more or less it would be another job, and paid again


def _word(value: object, _: MediaResolver) -> object:
    return strip_invisible(value) if isinstance(value, str) else value


def _flag(value: object, _: MediaResolver) -> object:
    if isinstance(value, bool):
        return value
    try:
        return _FLAGS[strip_invisible(str(value)).lower()]
    except KeyError:
        raise InvalidCell(f"{short_repr(value)} is neither yes nor no", "Write true or false") from None


def _items(value: object, _: MediaResolver) -> object:
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith(("[", "{")):
        return [one.strip() for one in value.split(";") if one.strip()]
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InvalidCell(f"{short_repr(value)} is no JSON", "Write it as JSON") from error


def _number(kind: type[int | float]) -> CellParser:
    def parse(value: object, _: MediaResolver) -> object:
        try:
            return kind(value) if isinstance(value, str) else value
        except ValueError:
            raise InvalidCell(f"{short_repr(value)} is no number", "Write digits") from None

    return parse


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
_BY_TYPE: Mapping[str, CellParser] = MappingProxyType({"INT": _number(int), "FLOAT": _number(float), "BOOLEAN": _flag})
