"""``rh-async batch --manifest-columns``: what a manifest may say, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.text import Text

from rh_async._batch.manifest.column_help import ColumnHelp, endpoint_columns, known_columns
from rh_async._cli.exit_codes import UsageError
from rh_async.models.registry import aliases

_FORMS = """\
One row per job: a .csv, .tsv or .txt file as a spreadsheet writes it (cells between commas, semicolons or tabs; UTF-8,
UTF-16 or Windows-1252), a .jsonl file (one object per line), a .json file (an array of objects), or a .toml file (one
[[job]] table per job). Large letters, spaces and hyphens make no other column."""
_OTHERS = """\
Columns of your own (a note, the number of a shot) ask for nothing: they are carried into batch.jsonl and the .json
beside each video. One that looks like a typing error of a column above is refused."""
_EXAMPLE = """\
    image,video,prompt,shot
    heroes/fox.png,clips/001.mp4,at night,12a"""


def column_words(model: str) -> Iterator[Text]:
    """The lines to print. Blocks: the catalogue is a file.

    :raises UsageError: nobody knows the model's fields.
    """
    named = model in aliases()
    columns = known_columns() if named else endpoint_columns(model)
    if not columns:
        raise UsageError(f"the catalogue knows no fields of {model:.80}: its rows take any field as it is")
    lines = [*_FORMS.splitlines(), "", *_listed(columns), "", *_OTHERS.splitlines()]
    yield from map(Text, [*lines, "", *_EXAMPLE.splitlines()] if named else lines)


def _listed(columns: Iterable[ColumnHelp]) -> Iterator[str]:
    columns = tuple(columns)
    width = max(len(column.name) for column in columns)
    for column in columns:
        needed = "needed; " if column.is_needed else ""
        takers = f" ({column.takers} only)" if column.takers else ""
        yield f"  {column.name:<{width}}  {needed}{column.words}{takers}"
