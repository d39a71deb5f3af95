"""Explains the columns of a manifest: ``rh-async batch --manifest-columns``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import evolve
from rich.text import Text

from rh_async._batch.manifest.column_help import ColumnHelp, endpoint_columns, known_columns
from rh_async._cli.exit_codes import UsageError
from rh_async.models.registry import DEFAULT_MODEL, ModelSpec, find_spec

_FORMATS = """\
One row per job: a .csv, .tsv or .txt file as a spreadsheet writes it (cells between commas, semicolons or tabs; UTF-8,
UTF-16 or Windows-1252), a .jsonl file (one object per line), a .json file (an array of objects), or a .toml file (one
[[job]] table per job). Case, spaces and hyphens in a column's name do not matter."""
_OWN_COLUMNS = """\
Columns of your own (a note, the number of a shot) are copied into batch.jsonl and the .json beside each video. One
that looks like a misspelt column of those above is refused."""
_EXAMPLE = """\
    image,video,prompt,shot
    heroes/fox.png,clips/001.mp4,at night,12a"""


def explain_columns(model: str) -> Iterator[Text]:
    """Explain the columns of one model; for the default model those of all, since each row may name another.

    Blocks: the catalogue is a file.

    :raises UsageError: the catalogue does not know the model's fields.
    """
    spec = find_spec(model)
    columns = endpoint_columns(model) if spec is None else _columns_of(spec)
    if not columns:
        raise UsageError(f"the catalogue knows no fields of {model:.80}: its rows take any field as it is")
    lines = [*_FORMATS.splitlines(), "", *_list(columns), "", *_OWN_COLUMNS.splitlines()]
    yield from map(Text, [*lines, "", *_EXAMPLE.splitlines()] if spec else lines)


def _columns_of(spec: ModelSpec) -> tuple[ColumnHelp, ...]:
    if spec.alias == DEFAULT_MODEL:
        return known_columns()
    always = {"model", "key"}
    return tuple(evolve(one, takers="") for one in known_columns() if one.name in spec.options or one.name in always)


def _list(columns: Sequence[ColumnHelp]) -> Iterator[str]:
    width = max(len(column.name) for column in columns)
    for column in columns:
        needed = "required; " if column.is_required else ""
        takers = f" ({column.takers} only)" if column.takers else ""
        yield f"  {column.name:<{width}}  {needed}{column.text}{takers}"
