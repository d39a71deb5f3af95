"""Options of ``rh-async batch`` about its inputs: clips, images, a manifest, and which jobs they make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from attrs import frozen
from cyclopts import Group, Parameter
from cyclopts.validators import Number

from rh_async._batch.manifest.column_help import known_columns
from rh_async.batch import Pairing

_Flag = Annotated[bool, Parameter(show_default=False)]
_Strings = Annotated[tuple[str, ...], Parameter(show_default=False)]
_AT_LEAST_ONE = Number(gte=1)


@Parameter(name="*", group=Group("Inputs", sort_key=1))
@frozen(kw_only=True)
class SourceOptions:
    """Where the jobs come from."""

    image: Annotated[
        _Strings,
        Parameter(help="character images: a file, a folder, a pattern; may be given several times. With --manifest, one"
                  " for rows that name none."),
    ] = ()  # fmt: skip
    pair: Annotated[
        Pairing,
        Parameter(help="which image goes with which clip: one image for all clips, the same name but for the suffix,"
                  " every combination (product), or in order (zip)."),
    ] = "one"  # fmt: skip
    recursive: Annotated[_Flag, Parameter(help="search the folders inside folders, too.")] = False
    include_outputs: Annotated[
        _Flag,
        Parameter(help="take outputs of earlier runs as inputs, too. Without it, these are left out: what lies in an"
                  " output folder inside a folder of clips, what has our .json beside it, what batch.jsonl names."),
    ] = False  # fmt: skip
    manifest: Annotated[
        Path | None,
        Parameter(help="in place of CLIPS: one row per job, in a .csv, .tsv or .txt file as Excel writes it, a .jsonl,"
                  f" .json or .toml file. Columns: {', '.join(column.name for column in known_columns())}; paths are"
                  " relative to the manifest's folder. Other columns are carried into batch.jsonl."),
    ] = None  # fmt: skip
    manifest_columns: Annotated[
        _Flag,
        Parameter(help="explain the columns of a manifest, with --model those of that model, and stop."),
    ] = False  # fmt: skip
    limit: Annotated[int | None, Parameter(validator=_AT_LEAST_ONE, help="only so many jobs, from the first.")] = None
    shuffle: Annotated[
        int | None,
        Parameter(
            name="--shuffle", help="shuffle the jobs, with this number as the seed; --limit then picks at random."
        ),
    ] = None
