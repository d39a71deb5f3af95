"""Recognises outputs of earlier runs among the inputs: as clips, they would be submitted again by every further run.

Blocks: call it off the loop.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import define, field

from .sidecar_reader import read_sidecar

IN_THE_FOLDER = "in the output folder"
OF_A_RUN = "made by an earlier run"

_RESULTS_LOG = "batch.jsonl"
_SIDECAR_KEYS = frozenset({"task_id", "outputs", "request"})
"""The keys of every sidecar of a run; the JSON files of download programs do not have them all."""


@define(eq=False)
class KnownOutputs:
    """Knows which files and folders hold outputs; keeps the results log of each folder once it has been read."""

    _paths: frozenset[str]  #: resolved; as text, because a journal may name very many
    _resolved: dict[Path, Path] = field(factory=dict, init=False)
    _logged: dict[Path, frozenset[str]] = field(factory=dict, init=False)  #: by folder, the names in its results log

    @classmethod
    def of(cls, paths: Iterable[str | os.PathLike[str]]) -> KnownOutputs:
        """Make one of folders and files that hold outputs, as they are named."""
        folders: dict[str, str] = {}
        return cls(frozenset(_resolve_text(os.fspath(path), folders) for path in paths))

    def exclusion_reason(self, path: Path, root: Path) -> str | None:
        """Say why a file is an output; None if it is not one.

        :param root: the folder that was searched. An output folder counts as a whole only if it lies inside the root:
            a caller who writes outputs beside the clips, or searches an output folder itself, means the files in it.
        """
        # A link may lead to an output; os.path.islink, because Path.is_symlink raises at a name that is too long.
        is_link = os.path.islink(path)  # noqa: PTH114
        target = _resolve(path) if is_link else self._resolve_folder(path.parent) / path.name
        if self._is_in_output_folder(target, self._resolve_folder(root)):
            return IN_THE_FOLDER
        is_known = str(target) in self._paths
        return OF_A_RUN if is_known or any(map(self._is_recorded, {path, target})) else None

    def _is_in_output_folder(self, path: Path, root: Path) -> bool:
        return any(str(folder) in self._paths and root in folder.parents for folder in path.parents)

    def _is_recorded(self, path: Path) -> bool:
        """Whether its sidecar, or the results log of its folder, says that a run made it."""
        if read_sidecar(path).keys() >= _SIDECAR_KEYS:
            return True
        folder = self._resolve_folder(path.parent)
        if folder not in self._logged:
            self._logged[folder] = frozenset(_logged_names(folder))
        return path.name in self._logged[folder]

    def _resolve_folder(self, folder: Path) -> Path:
        if folder not in self._resolved:
            self._resolved[folder] = _resolve(folder)
        return self._resolved[folder]


def _resolve(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))  # Path.resolve() raises at a link to itself
    except ValueError:  # a zero byte: no file can have this name, which probing the file will report
        return path.absolute()


def _resolve_text(path: str, folders: dict[str, str]) -> str:
    """Resolve a path as `_resolve` does, with each folder resolved once.

    Works on text: a journal may name 100,000 outputs, and making a `Path` of each takes longer than the look-up.
    """
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = str(_resolve(Path(folder)))
    resolved = f"{folders[folder].rstrip(os.sep)}{os.sep}{name}"
    is_plain = name not in {"", ".", ".."} and not os.path.islink(resolved)  # noqa: PTH114 - as in exclusion_reason
    return resolved if is_plain else str(_resolve(Path(path)))


def _logged_names(folder: Path) -> Iterator[str]:
    """Read the names of a folder's outputs from its results log; none where there is no log."""
    try:
        with (folder / _RESULTS_LOG).open("rb") as lines:
            paths = [path for line in lines if (path := _logged_path(line)) is not None]
    except OSError:
        return
    for path in paths:
        # An output that was saved in another folder says nothing of a clip of the same name here. A path that does not
        # exist counts: in a folder that was moved, every logged path is the old one.
        if path.parent == folder or not os.path.lexists(path) or _resolve(path.parent) == folder:
            yield path.name


def _logged_path(line: bytes) -> Path | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):  # another program's file of that name, or a line cut short by a crash
        return None
    path = values.get("path") if isinstance(values, dict) else None
    return Path(path) if isinstance(path, str) and "task_id" in values and "\0" not in path else None
