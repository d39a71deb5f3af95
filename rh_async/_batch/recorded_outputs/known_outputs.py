"""Tells outputs of earlier runs from inputs: taken as clips, they would be bought again by every further run.

Blocks: call it off the loop.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import define, field

from rh_async._batch.outputs.sidecar import told_beside

IN_THE_FOLDER = "in the output folder"
OF_A_RUN = "made by an earlier run"

_LINES = "batch.jsonl"
_OURS = frozenset({"task_id", "outputs", "request"})
"""What the file beside an output always tells; the JSON files of download programs do not."""


@define(eq=False)
class KnownOutputs:
    """What holds outputs, or is one; remembers what it has read of the folders it was asked about."""

    _earlier_job: frozenset[str]  #: resolved; as text, for a journal may know very many
    _resolved: dict[Path, Path] = field(factory=dict, init=False)
    _told: dict[Path, frozenset[str]] = field(factory=dict, init=False)

    @classmethod
    def of(cls, paths: Iterable[str | os.PathLike[str]]) -> KnownOutputs:
        """Take folders and files as they are named."""
        folders: dict[str, str] = {}
        return cls(frozenset(_resolved(os.fspath(path), folders) for path in paths))

    def exclusion_reason(self, path: Path, root: Path) -> str | None:
        """Say why a file is an output; None if it is none.

        :param root: the folder it was found through. An output folder counts as a whole only if it lies inside that
            one: whoever writes outputs beside the clips, or names an output folder itself, means the files in it.
        """
        is_link = os.path.islink(path)  # noqa: PTH114 - the other one raises at a name too long
        there = _real(path) if is_link else self._resolve(path.parent) / path.name
        if self._lies_in_folder(there, self._resolve(root)):
            return IN_THE_FOLDER
        places = {path, there}
        if str(there) in self._earlier_job or any(
            _has_our_file_beside(place) or self._is_told_of(place) for place in places
        ):
            return OF_A_RUN
        return None

    def _lies_in_folder(self, path: Path, root: Path) -> bool:
        return any(str(folder) in self._earlier_job and root in folder.parents for folder in path.parents)

    def _resolve(self, folder: Path) -> Path:
        if folder not in self._resolved:
            self._resolved[folder] = _real(folder)
        return self._resolved[folder]

    def _is_told_of(self, path: Path) -> bool:
        folder = self._resolve(path.parent)
        if folder not in self._told:
            self._told[folder] = frozenset(_told_of(folder))
        return path.name in self._told[folder]


def _resolved(path: str, folders: dict[str, str]) -> str:
    """The same as `_real`, of many paths in a few folders: of text, since making a `Path` takes longer than a look."""
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = str(_real(Path(folder)))
    there = f"{folders[folder].rstrip(os.sep)}{os.sep}{name}"
    is_plain = name not in {"", ".", ".."} and not os.path.islink(there)  # noqa: PTH114 - as said above
    return there if is_plain else str(_real(Path(path)))


def _real(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))  # Path.resolve() raises at a link to itself
    except ValueError:  # no name a disk can have, which looking into it will say
        return path.absolute()


def _has_our_file_beside(path: Path) -> bool:
    return told_beside(path).keys() >= _OURS


def _told_of(folder: Path) -> Iterator[str]:
    """The names of a folder's outputs by its ``batch.jsonl``."""
    try:
        with (folder / _LINES).open("rb") as lines:
            paths = [path for line in lines if (path := _told_path(line)) is not None]
    except OSError:
        return
    for path in paths:
        # An output that was kept elsewhere says nothing of a clip of its name here; in a moved folder, nothing is where
        # it is said to be.
        if path.parent == folder or not os.path.lexists(path) or _real(path.parent) == folder:
            yield path.name


def _told_path(line: bytes) -> Path | None:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    path = told.get("path") if isinstance(told, dict) else None
    return Path(path) if isinstance(path, str) and "task_id" in told and "\0" not in path else None
