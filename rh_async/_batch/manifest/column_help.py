"""Explains the columns of a manifest: what each holds, and which models take it. Blocks: the catalogue is a file."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from rh_async.models.catalog import Param, find_model
from rh_async.models.registry import MODELS, aliases, all_options, takers
from rh_async.models.request_option import RequestOption

_KEY = "your name for the job, under which it is bought once; made from model, options and files if empty"


@frozen
class ColumnHelp:
    """The explanation of a column.

    :param takers: the models that take it, as text; "" where all do.
    """

    name: str
    text: str
    is_required: bool = False
    takers: str = ""


def known_columns() -> tuple[ColumnHelp, ...]:
    """Return the columns of the models of the registry."""
    options = {name: _option(name, described) for name, described in all_options().items()}
    media = [options.pop(name) for name, described in all_options().items() if described.kind == "media"]
    webhook = options.pop("webhook_url")
    models = f"one of {', '.join(aliases())}, or the endpoint of any other model; --model for rows that do not say"
    return (*media, ColumnHelp("model", models), ColumnHelp("key", _KEY), *options.values(), webhook)


def endpoint_columns(endpoint: str) -> tuple[ColumnHelp, ...]:
    """Return the columns of any model by its endpoint; none where the catalogue does not know it."""
    model = find_model(endpoint)
    fields = [_field(param) for param in model.params.values()] if model else []
    shared = [column for column in known_columns() if column.name in {"model", "key", "webhook_url"}]
    return (*fields, *shared) if fields else ()


def _option(name: str, option: RequestOption) -> ColumnHelp:
    notation = {
        "media": ": a path that begins at the manifest's folder, or a link",
        "flag": ": true or false",
        "items": ", with ; between them",
    }
    is_required = all(name in spec.required for spec in MODELS if name in spec.options)
    return ColumnHelp(name, option.help + notation.get(option.kind, ""), is_required, takers(name))


def _field(param: Param) -> ColumnHelp:
    return ColumnHelp(param.name, ", ".join(_field_text(param)), param.required and param.default is None)


def _field_text(param: Param) -> Iterator[str]:
    many = "several, with ; between them: " if param.multiple else ""
    yield f"{many}{'a path or a link: ' if param.is_media else ''}{param.type.lower()}"
    if param.options:
        yield f"one of {', '.join(param.options)}"
    if param.default is not None:
        yield f"{param.default} by default"
