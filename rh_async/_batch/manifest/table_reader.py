"""Reads a manifest file: finds its format by its suffix, its text, and the rows in the text. Blocks: reads the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from attrs import frozen

from .csv_rows import csv_rows, tsv_rows
from .json_rows import json_rows, toml_rows
from .manifest_row import ManifestRow, UnreadableManifest
from .text_decoding import DecodedText, decode_text

_WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".ods", ".numbers"})
_ZIP_MARK = b"PK\x03\x04"
_SAVED = " (saved from the workbook as CSV UTF-8)"


@frozen
class ManifestTable:
    """A manifest's text and its rows.

    :param rows: reads the rows one by one; may raise `UnreadableManifest`.
    """

    text: DecodedText
    rows: Callable[[], Iterator[ManifestRow]]


def read_table(path: Path) -> ManifestTable:
    """Read a manifest.

    :raises UnreadableManifest: the suffix or the content is not that of a manifest.
    :raises OSError: the file cannot be read.
    """
    suffix = path.suffix.lower()
    read_rows = _FORMATS.get(suffix)
    if read_rows is None:
        hint = f"Give a .csv{_SAVED if suffix in _WORKBOOKS else ''}, .tsv, .jsonl or .toml"
        raise UnreadableManifest("kind of manifest", "is no manifest by its suffix", hint)
    data = path.read_bytes()
    if data.startswith(_ZIP_MARK):
        message = "is a workbook or an archive by its content, whatever its name says"
        raise UnreadableManifest("kind of manifest", message, f"Give a .csv{_SAVED}")
    text = decode_text(data)
    return ManifestTable(text, lambda: read_rows(text.text))


_FORMATS: Mapping[str, Callable[[str], Iterator[ManifestRow]]] = MappingProxyType(
    {
        ".csv": csv_rows,
        ".tsv": tsv_rows,
        ".tab": tsv_rows,
        ".txt": csv_rows,
        ".jsonl": json_rows,
        ".ndjson": json_rows,
        ".json": json_rows,
        ".toml": toml_rows,
    }
)
