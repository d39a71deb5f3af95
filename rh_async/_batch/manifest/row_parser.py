"""From one row's words to a request: which columns its model takes, and how each is written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from rh_async._batch.planning.path_lookup import find_on_disk, strip_invisible
from rh_async.errors import InvalidRequestError
from rh_async.issues import Issue, Severity, display_text
from rh_async.models.base import MediaValue, ModelRequest, Request, media_value, short_repr
from rh_async.models.catalog import endpoints, find_model
from rh_async.models.registry import DEFAULT_MODEL, ModelSpec, aliases, all_options, find_spec
from rh_async.types import Upload

from .cell_parser import CellParser, InvalidCell, by_kind, by_type, guessed

_COMMON = frozenset({"model", "webhook_url"})
_SHARED = _COMMON | {"key"}
_Outcome = tuple[Request | None, tuple["RowIssue", ...]]
_REMEMBERED = 100_000  #: rows; a manifest that repeats itself does so within fewer
_LONGEST_KEY = 500
_ALIKE = 0.8
"""From this likeness on, a column nobody knows is a typing error of one that somebody does."""


@frozen
class RowIssue:
    """What is wrong in a row, before anybody says which row; the words are those of `Issue`."""

    rule: str
    message: str
    hint: str
    column: str = ""
    severity: Severity = "error"

    def issue(self, where: str) -> Issue:
        subject = f"{where}, column {display_text(self.column)}" if self.column else where
        return Issue(rule=self.rule, subject=subject, message=self.message, hint=self.hint, severity=self.severity)


@frozen
class ParsedRow:
    """What a row came to.

    :param others: columns that ask for nothing, with their values.
    """

    key: str | None = None
    request: Request | None = None
    problems: tuple[RowIssue, ...] = ()
    others: Mapping[str, Any] = field(factory=dict)


@lru_cache(10_000)
def normalize_column(column: str) -> str:
    """A column's name by which it is compared: large letters, spaces and hyphens make no other name."""
    return re.sub(r"[\s-]+", "_", strip_invisible(column)).casefold()


@define
class RowParser:
    """Reads rows; what was read before is not made again.

    :param folder: which relative paths begin at.
    :param defaults: by column, for rows that do not say.
    :param is_western: whether the rows were read as Windows-1252: a path may be meant byte by byte, too.
    """

    folder: Path
    defaults: Mapping[str, Any]
    is_western: bool = False
    _made: dict[object, _Outcome] = field(factory=dict, init=False)
    _paths: dict[str, MediaValue] = field(factory=dict, init=False)

    def read(self, values: Mapping[str, Any]) -> ParsedRow:
        """Make one row's request, or say all that is wrong with it."""
        model = next((value for name, value in values.items() if normalize_column(name) == "model"), None)
        form = _format_of(self.defaults.get("model", DEFAULT_MODEL) if model is None else model)
        if isinstance(form, RowIssue):
            return ParsedRow(problems=(form,))
        asked, others, problems = form.sorted(values)
        key = asked.pop("key", None)
        key = strip_invisible(key) if isinstance(key, str) else key
        name = (form.model, _hashable(asked))
        request, wrong = self._made.get(name) or self._remember(name, self._make(form, asked))
        unfit = () if key is None else _unfit(key)
        every = (*problems, *wrong, *unfit)
        return ParsedRow(None if unfit else key, None if every else request, every, others)

    def _remember(self, name: object, made: _Outcome) -> _Outcome:
        if len(self._made) < _REMEMBERED:
            self._made[name] = made
        return made

    def media(self, value: object) -> MediaValue:
        if isinstance(value, Path | Upload):
            return value
        if not isinstance(value, str):
            raise InvalidCell(f"{short_repr(value)} is no text", "Give a path or a link")
        return self._paths.get(value) or self._paths.setdefault(value, self._media(value))

    def _media(self, value: str) -> MediaValue:
        found = media_value(strip_invisible(value))
        if not isinstance(found, Path):
            return found
        if strip_invisible(value) != value and os.path.lexists(self.folder / value):
            return self.folder / value
        path = find_on_disk(self.folder / found)
        if self.is_western and not os.path.lexists(path):
            raw = self.folder / os.fsdecode(str(found).encode("cp1252", "replace"))
            return raw if os.path.lexists(raw) else path
        return path

    def _make(self, form: _RowFormat, values: Mapping[str, Any]) -> _Outcome:
        filled = {name: value for name, value in self.defaults.items() if form.takes(name)} | dict(values)
        filled.pop("model", None)
        filled.pop("key", None)
        return form.request(filled, self)


def _unfit(key: object) -> tuple[RowIssue, ...]:
    """Why the journal could not remember a job under this key."""
    if not isinstance(key, str):
        return (RowIssue("wrong value", f"{short_repr(key)} is no text", "Put it in quotes", "key"),)
    if len(key) > _LONGEST_KEY:
        return (RowIssue("wrong value", f"has {len(key):,} characters", f"Give {_LONGEST_KEY} at most", "key"),)
    if any("\ud800" <= sign <= "\udfff" for sign in key):
        return (RowIssue("wrong value", "is no UTF-8", "Write it in plain letters", "key"),)
    return ()


def _hashable(values: Mapping[str, Any]) -> object:
    name = tuple(values.items())
    try:
        hash(name)
    except TypeError:
        return repr(name)
    # True is 1 to a dictionary, and not to the server.
    return name if all(type(value) is str for _, value in name) else repr(name)


@define(frozen=True, slots=False)  # it remembers how its columns may be spelled
class _RowFormat:
    """How a model's rows are written.

    :param model: as the manifest names it.
    :param columns: how each is read, by its name.
    :param needed: which must be there.
    :param build: makes the request.
    :param is_open: whether it may take columns that nobody documented.
    """

    model: str
    columns: Mapping[str, CellParser]
    needed: frozenset[str]
    build: Callable[..., Request]
    is_open: bool = False

    def takes(self, name: str) -> bool:
        return self.is_open or name in self.columns or name in _COMMON

    def sorted(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], tuple[RowIssue, ...]]:
        """Tell what a row asks for, by the columns' own names; what it says besides; and what it must not say."""
        asked: dict[str, Any] = {}
        others: dict[str, Any] = {}
        problems: list[RowIssue] = []
        for name, value in values.items():
            known = self._column_for(name)
            problem = self._mistaken(name, values) if known is None else None
            if known in asked:
                problem = RowIssue("column twice", "is there twice in other letters", "Remove one of them", name)
            if problem is not None:
                problems.append(problem)
            elif known is None:
                others[name] = value
            else:
                asked[known] = value
        return asked, others, tuple(problems)

    def _column_for(self, name: str) -> str | None:
        """The column that a name means."""
        if name in self.columns or (self.is_open and normalize_column(name) not in _SHARED):
            return name
        return self._spelled.get(normalize_column(name))

    @cached_property
    def _spelled(self) -> Mapping[str, str]:
        return {normalize_column(name): name for name in (*self.columns, *_SHARED)}

    def _mistaken(self, name: str, values: Mapping[str, Any]) -> RowIssue | None:
        """Why a column that the model does not take must not be passed over: it was probably meant to change the job.

        A column of somebody's own does not: a note, a number of a shot.
        """
        free = self._spelled.keys() - map(normalize_column, values)
        near = _nearest(normalize_column(name), tuple(sorted(free)))
        if near is None and normalize_column(name) not in all_options():
            return None
        taken = f"t takes {', '.join(sorted(self.columns))}"
        hint = f"Did you mean {self._spelled[near]}? I{taken}" if near else f"Remove it; i{taken}"
        return RowIssue("unknown column", f"{self.model} takes no such column", hint, name)

    def request(self, values: Mapping[str, Any], reader: RowParser) -> _Outcome:
        read: dict[str, object] = {}
        problems = [self._missing(name) for name in sorted(self.needed - values.keys())]
        for name, value in values.items():
            try:
                read[name] = self.columns.get(name, guessed(name))(value, reader)
            except InvalidCell as wrong:
                problems.append(RowIssue("wrong value", wrong.why, wrong.hint, name))
        if problems:
            return None, tuple(problems)
        try:
            return self.build(**read), ()
        except InvalidRequestError as error:
            return None, (_refusal(error),)

    def _missing(self, name: str) -> RowIssue:
        needs = " and ".join(sorted(self.needed))
        return RowIssue("missing column", f"is missing or empty; {self.model} needs {needs}", "Fill it", name)


@lru_cache(1000)
def _nearest(name: str, columns: tuple[str, ...]) -> str | None:
    return next(iter(get_close_matches(name, columns, 1, _ALIKE)), None)


def _refusal(error: InvalidRequestError) -> RowIssue:
    place, _, what = error.message.partition(" = ")
    return RowIssue("wrong value", what or place, "Correct it", place.rpartition(".")[2] if what else "")


def _format_of(model: object) -> _RowFormat | RowIssue:
    if not isinstance(model, str):
        return RowIssue(
            "unknown model", f"{short_repr(model)} is no text", f"Give one of {', '.join(aliases())}", "model"
        )
    model = strip_invisible(model)
    if spec := find_spec(model.lower()):
        return _named_form(spec)
    if model in endpoints() or "/" in model:
        return _endpoint_form(model)
    near = get_close_matches(model, (*aliases(), *endpoints()), 1, 0.5)
    hint = f"{f'Did you mean {near[0]}? ' if near else ''}Give one of {', '.join(aliases())}, or an endpoint"
    return RowIssue("unknown model", f"{short_repr(model)} is no model", hint, "model")


@cache
def _named_form(spec: ModelSpec) -> _RowFormat:
    columns = {name: by_kind(option.kind) for name, option in spec.options.items()}
    return _RowFormat(spec.alias, columns, spec.required, spec.request)


@cache
def _endpoint_form(endpoint: str) -> _RowFormat:
    model = find_model(endpoint)
    params = model.params if model else {}
    is_complete = model is not None and not model.partial  # what is known in part refuses nothing (contract 11)
    columns = {name: by_type(param) for name, param in params.items()} | {"webhook_url": by_kind("word")}
    needed = frozenset(name for name, one in params.items() if is_complete and one.required and one.default is None)

    def build(*, webhook_url: str | None = None, **fields: object) -> Request:
        return ModelRequest(endpoint, fields, webhook_url=webhook_url)

    return _RowFormat(endpoint, columns, needed, build, is_open=model is None)
