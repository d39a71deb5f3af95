"""Parses one row of a manifest into a request. Blocks: looks on the disk for the files that a row names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from rh_async._batch.planning.path_lookup import find_on_disk, strip_invisible
from rh_async.models.base import MediaValue, Request, media_value, short_repr
from rh_async.models.registry import DEFAULT_MODEL
from rh_async.types import Upload

from .cell_parser import InvalidCell
from .manifest_row import RowIssue, normalize_column
from .row_format import ParsedRequest, RowFormat, format_of

_MAX_CACHED = 100_000  #: rows; a manifest that repeats itself does so within fewer
_MAX_KEY = 500  #: characters; the journal stores no longer key


@frozen
class ParsedRow:
    """A row's request, or why there is none.

    :param extra_columns: the columns that no model takes, with their values.
    """

    key: str | None = None
    request: Request | None = None
    issues: tuple[RowIssue, ...] = ()
    extra_columns: Mapping[str, Any] = field(factory=dict)


@define
class RowParser:
    """Parses rows; equal rows share one request, so that a manifest of 50,000 rows makes and checks few.

    :param folder: relative paths begin here.
    :param defaults: by column, for rows that do not fill it.
    :param is_western: whether the manifest was decoded as Windows-1252: a path may then be meant byte by byte, too.
    """

    folder: Path
    defaults: Mapping[str, Any]
    is_western: bool = False
    _requests: dict[object, ParsedRequest] = field(factory=dict, init=False)
    _media: dict[str, MediaValue] = field(factory=dict, init=False)

    def parse(self, values: Mapping[str, Any]) -> ParsedRow:
        """Make one row's request, or report all that is wrong with it."""
        model = next((value for name, value in values.items() if normalize_column(name) == "model"), None)
        row_format = format_of(self.defaults.get("model", DEFAULT_MODEL) if model is None else model)
        if isinstance(row_format, RowIssue):
            return ParsedRow(issues=(row_format,))
        cells, extra, column_issues = row_format.split(values)
        key = cells.pop("key", None)
        key = strip_invisible(key) if isinstance(key, str) else key
        request, cell_issues = self._request(row_format, cells)
        key_issues = () if key is None else _check_key(key)
        issues = (*column_issues, *cell_issues, *key_issues)
        return ParsedRow(None if key_issues else key, None if issues else request, issues, extra)

    def _request(self, row_format: RowFormat, cells: Mapping[str, Any]) -> ParsedRequest:
        cache_key = (row_format.model, _hashable(cells))
        if (cached := self._requests.get(cache_key)) is not None:
            return cached
        filled = {name: value for name, value in self.defaults.items() if row_format.takes(name)} | dict(cells)
        filled.pop("model", None)
        filled.pop("key", None)
        parsed = row_format.parse(filled, self)
        if len(self._requests) < _MAX_CACHED:
            self._requests[cache_key] = parsed
        return parsed

    def media(self, value: object) -> MediaValue:
        """Resolve a cell that names media: a link stays, a path is looked up from the manifest's folder.

        :raises InvalidCell: it is neither.
        """
        if isinstance(value, Path | Upload):
            return value
        if not isinstance(value, str):
            raise InvalidCell(f"{short_repr(value)} is no text", "Give a path or a link")
        return self._media.get(value) or self._media.setdefault(value, self._resolve(value))

    def _resolve(self, text: str) -> MediaValue:
        media = media_value(strip_invisible(text))
        if not isinstance(media, Path):
            return media
        if strip_invisible(text) != text and os.path.lexists(self.folder / text):  # spaces are part of the file's name
            return self.folder / text
        path = find_on_disk(self.folder / media)
        if self.is_western and not os.path.lexists(path):
            raw = self.folder / os.fsdecode(str(media).encode("cp1252", "replace"))
            return raw if os.path.lexists(raw) else path
        return path


def _check_key(key: object) -> tuple[RowIssue, ...]:
    """Say why the journal could not store a job under this key."""
    if not isinstance(key, str):
        return (RowIssue("wrong value", f"{short_repr(key)} is no text", "Put it in quotes", "key"),)
    if len(key) > _MAX_KEY:
        return (RowIssue("wrong value", f"has {len(key):,} characters", f"Give {_MAX_KEY} at most", "key"),)
    if any("\ud800" <= character <= "\udfff" for character in key):
        return (RowIssue("wrong value", "is no UTF-8", "Write it in plain letters", "key"),)
    return ()


def _hashable(cells: Mapping[str, Any]) -> object:
    """Return a value that is equal for rows of the same cells."""
    items = tuple(cells.items())
    try:
        hash(items)
    except TypeError:
        return repr(items)
    # By hash and equality True is 1, and the server distinguishes them; their reprs differ.
    return items if all(type(value) is str for _, value in items) else repr(items)
