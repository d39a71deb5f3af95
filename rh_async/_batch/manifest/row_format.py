"""Knows which columns each model takes, how their cells are parsed, and how a request is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache, cached_property, lru_cache
from typing import Any

from attrs import define

from rh_async._batch.planning.path_lookup import strip_invisible
from rh_async.errors import InvalidRequestError
from rh_async.models.base import ModelRequest, Request, short_repr
from rh_async.models.catalog import endpoints, find_model
from rh_async.models.registry import ModelSpec, aliases, all_options, find_spec

from .cell_parser import CellParser, InvalidCell, MediaResolver, parser_of_column, parser_of_option, parser_of_param
from .manifest_row import RowIssue, normalize_column

_ANY_MODEL = frozenset({"model", "webhook_url"})
_RESERVED = _ANY_MODEL | {"key"}
_TYPING_ERROR = 0.8
"""The similarity from which an unknown column counts as a typing error of a known one."""

ParsedRequest = tuple[Request | None, tuple[RowIssue, ...]]
"""A request, or None and why there is none."""


@define(frozen=True, slots=False)  # without slots, for its cached properties
class RowFormat:
    """The columns of one model.

    :param model: as the manifest names it.
    :param columns: how the cells of each are parsed.
    :param required: the columns that a row must fill.
    :param make: makes the request of the parsed cells.
    :param is_open: whether columns that are not in ``columns`` are fields of the model, too: of a model that the
        catalogue does not know, every column may be one.
    """

    model: str
    columns: Mapping[str, CellParser]
    required: frozenset[str]
    make: Callable[..., Request]
    is_open: bool = False

    def takes(self, column: str) -> bool:
        """Whether a default for the column is for this model."""
        return self.is_open or column in self.columns or column in _ANY_MODEL

    def split(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], tuple[RowIssue, ...]]:
        """Split a row into the cells of the model, under the columns' own names, the extra columns, and the issues."""
        own: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        issues: list[RowIssue] = []
        for name, value in values.items():
            column = self._column(name)
            issue = self._unknown_column(name, values) if column is None else None
            if column in own:
                issue = RowIssue("column twice", "is there twice in other letters", "Remove one of them", name)
            if issue is not None:
                issues.append(issue)
            elif column is None:
                extra[name] = value
            else:
                own[column] = value
        return own, extra, tuple(issues)

    def _column(self, name: str) -> str | None:
        if name in self.columns or (self.is_open and normalize_column(name) not in _RESERVED):
            return name
        return self._by_normalized_name.get(normalize_column(name))

    @cached_property
    def _by_normalized_name(self) -> Mapping[str, str]:
        return {normalize_column(name): name for name in (*self.columns, *_RESERVED)}

    def _unknown_column(self, name: str, values: Mapping[str, Any]) -> RowIssue | None:
        """Report a column that was probably meant to change the job; None for an author's own column, such as a note.

        A mistyped ``prompt`` that was passed over would be a paid job without its prompt.
        """
        unused = self._by_normalized_name.keys() - map(normalize_column, values)
        near = _nearest(normalize_column(name), tuple(sorted(unused)))
        if near is None and normalize_column(name) not in all_options():
            return None
        known = f"t takes {', '.join(sorted(self.columns))}"
        hint = f"Did you mean {self._by_normalized_name[near]}? I{known}" if near else f"Remove it; i{known}"
        return RowIssue("unknown column", f"{self.model} takes no such column", hint, name)

    def parse(self, values: Mapping[str, Any], resolver: MediaResolver) -> ParsedRequest:
        """Make a request of a model's own cells, or report all that is wrong with them."""
        parsed: dict[str, object] = {}
        issues = [self._missing(name) for name in sorted(self.required - values.keys())]
        for name, value in values.items():
            try:
                parsed[name] = self.columns.get(name, parser_of_column(name))(value, resolver)
            except InvalidCell as error:
                issues.append(RowIssue("wrong value", error.message, error.hint, name))
        if issues:
            return None, tuple(issues)
        try:
            return self.make(**parsed), ()
        except InvalidRequestError as error:
            return None, (_invalid_field(error),)

    def _missing(self, name: str) -> RowIssue:
        required = " and ".join(sorted(self.required))
        return RowIssue("missing column", f"is missing or empty; {self.model} needs {required}", "Fill it", name)


def format_of(model: object) -> RowFormat | RowIssue:
    """Return the columns of a model, or why there is no such model. Blocks: the catalogue is a file."""
    if not isinstance(model, str):
        message, hint = f"{short_repr(model)} is no text", f"Give one of {', '.join(aliases())}"
        return RowIssue("unknown model", message, hint, "model")
    model = strip_invisible(model)
    if spec := find_spec(model.lower()):
        return _format_of_spec(spec)
    if model in endpoints() or "/" in model:
        return _format_of_endpoint(model)
    near = get_close_matches(model, (*aliases(), *endpoints()), 1, 0.5)
    hint = f"{f'Did you mean {near[0]}? ' if near else ''}Give one of {', '.join(aliases())}, or an endpoint"
    return RowIssue("unknown model", f"{short_repr(model)} is no model", hint, "model")


@cache
def _format_of_spec(spec: ModelSpec) -> RowFormat:
    columns = {name: parser_of_option(option.kind) for name, option in spec.options.items()}
    return RowFormat(spec.alias, columns, spec.required, spec.request)


@cache
def _format_of_endpoint(endpoint: str) -> RowFormat:
    model = find_model(endpoint)
    params = model.params if model else {}
    is_complete = model is not None and not model.partial  # what is known in part refuses nothing (contract 11)
    columns = {name: parser_of_param(param) for name, param in params.items()}
    columns["webhook_url"] = parser_of_option("word")
    required = frozenset(name for name, one in params.items() if is_complete and one.required and one.default is None)

    def make(*, webhook_url: str | None = None, **fields: object) -> Request:
        return ModelRequest(endpoint, fields, webhook_url=webhook_url)

    return RowFormat(endpoint, columns, required, make, is_open=model is None)


@lru_cache(1000)
def _nearest(name: str, columns: tuple[str, ...]) -> str | None:
    return next(iter(get_close_matches(name, columns, 1, _TYPING_ERROR)), None)


def _invalid_field(error: InvalidRequestError) -> RowIssue:
    # The message is "Class.field = value: rule"; of a rule that belongs to no field, the whole text.
    place, _, rule = error.message.partition(" = ")
    return RowIssue("wrong value", rule or place, "Correct it", place.rpartition(".")[2] if rule else "")
