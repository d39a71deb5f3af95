"""Counts how often a local file is looked up by its path, and how often it is opened."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

_COUNTING: list[FileAccess] = []


@define
class FileAccess:
    """The accesses to one file, by whatever name leads to it."""

    inode: int
    stats: int = field(default=0, init=False)
    opens: int = field(default=0, init=False)
    where: Counter[str] = field(factory=Counter, init=False)

    def matches(self, path: object) -> bool:
        """Whether a path leads to the file."""
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        try:
            return _STAT(path).st_ino == self.inode
        except (OSError, ValueError):
            return False


_STAT = os.stat


def _note_open(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        for access in _COUNTING:
            if access.matches(arguments[0]):
                access.opens += 1
                access.where[f"open {_caller()}"] += 1


def _caller() -> str:
    frame = sys._getframe(2)
    while frame.f_back is not None and "/rh_async/" not in frame.f_code.co_filename:
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}"


sys.addaudithook(_note_open)  # it sees every open, however it is called; it cannot be removed, so it must be cheap


@contextmanager
def file_access(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileAccess]:
    """Count the accesses to a file while the body runs."""
    access = FileAccess(_STAT(path).st_ino)

    def stat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if access.matches(path):
            access.stats += 1
            access.where[f"stat {_caller()}"] += 1
        return _STAT(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        _COUNTING.append(access)
        try:
            yield access
        finally:
            _COUNTING.remove(access)
