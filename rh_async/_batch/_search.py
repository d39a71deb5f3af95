"""Finds clips and images: files as they are named, folders, patterns. Blocks: call it off the loop.

The order never depends on the disk: names are sorted as people count, 2 before 10. No folder is entered twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from attrs import define, field, frozen

from ._findings import Finding, shown

What = Literal["clips", "images"]

_SUFFIXES: Mapping[What, frozenset[str]] = MappingProxyType(
    {
        "clips": frozenset(".mp4 .mov .webm .mkv .avi .m4v .flv .ts .wmv .mpg .mpeg".split()),
        "images": frozenset(".jpg .jpeg .png .webp .gif .bmp .tif .tiff .heic .heif .avif".split()),
    }
)
_PATTERN = re.compile(r"[*?\[]")
_DIGITS = re.compile(r"([0-9]+)")


@frozen
class Found:
    """What a search found, in order, and what was wrong on the way."""

    paths: tuple[Path, ...]
    findings: tuple[Finding, ...]


def search(sources: Iterable[str | os.PathLike[str]], what: What, *, recursive: bool = False) -> Found:
    """Find the files that the sources name: in their order, each path once.

    :param sources: files, which are taken whatever they are; folders and patterns (``*``, ``?``, ``[…]``, and ``**``
        for any folders between), of which hidden files and those of another suffix are left out.
    :param recursive: whether folders are searched with all that is in them.
    """
    looking = _Search(what, recursive)
    paths = dict.fromkeys(path for source in sources for path in looking.paths(Path(source)))
    return Found(tuple(paths), (*looking.findings, *looking.left_out()))


def natural(path: Path) -> tuple[list[str | int], ...]:
    """The key to sort by: digits as numbers, whatever the case."""
    return tuple(
        [int(bit) if bit.isdecimal() else bit for bit in _DIGITS.split(part.casefold())] for part in path.parts
    )


@define
class _Search:
    what: What
    recursive: bool
    findings: list[Finding] = field(factory=list, init=False)
    _skipped: int = field(default=0, init=False)

    def paths(self, source: Path) -> Sequence[Path]:
        if _PATTERN.search(str(source)) and not os.path.lexists(source):
            return self._matching(source)
        return self._inside(source) if _is_folder(source) else (source,)

    def left_out(self) -> Iterator[Finding]:
        if self._skipped:
            what = f"{self._skipped} files left out: hidden, or no {self.what} by their suffix"
            yield Finding(rule="left out", thing=f"the {self.what}", what=what, remedy="Name a file to have it taken",
                          refuses=False)  # fmt: skip

    def _inside(self, folder: Path) -> Sequence[Path]:
        found = sorted(self._walk(folder, None if self.recursive else 1), key=lambda path: (natural(path), path))
        if not found:
            remedy = "Put some there, name another folder" + ("" if self.recursive else ", or search its folders too")
            self._report("empty folder", folder, f"no {self.what} in this folder", remedy)
        return found

    def _matching(self, pattern: Path) -> Sequence[Path]:
        fixed = next(place for place, part in enumerate(pattern.parts) if _PATTERN.search(part))
        root, wanted = Path(*pattern.parts[:fixed]), pattern.parts[fixed:]
        depth = None if "**" in wanted else len(wanted)
        inside = ((path, path.parts[len(root.parts) :]) for path in self._walk(root, depth))
        found = sorted((path for path, parts in inside if _fits(parts, wanted)), key=lambda path: (natural(path), path))
        if not found:
            self._report("matches nothing", pattern, f"matches no {self.what}", "Correct the pattern, or name a folder")
        return found

    def _walk(self, root: Path, depth: int | None) -> Iterator[Path]:
        entered: set[tuple[int, int]] = set()
        waiting = [(root, depth)]
        while waiting:
            folder, left = waiting.pop()
            for entry in self._entries(folder, entered):
                if _is_folder(entry):
                    waiting += [] if left == 1 else [(Path(entry.path), None if left is None else left - 1)]
                elif Path(entry.name).suffix.lower() in _SUFFIXES[self.what]:
                    yield Path(entry.path)
                else:
                    self._skipped += 1

    def _entries(self, folder: Path, entered: set[tuple[int, int]]) -> Sequence[os.DirEntry[str]]:
        try:
            there = folder.stat()
            if (who := (there.st_dev, there.st_ino)) in entered:
                return ()
            entered.add(who)
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self._report("unreadable folder", folder, f"cannot be searched ({error.strerror})", "Correct or allow it")
            return ()
        visible = [entry for entry in entries if not entry.name.startswith(".")]
        self._skipped += len(entries) - len(visible)
        return visible

    def _report(self, rule: str, path: Path, what: str, remedy: str) -> None:
        self.findings.append(Finding(rule=rule, thing=shown(path), what=what, remedy=remedy))


def _is_folder(entry: Path | os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, a name too long: looking into it as a file will say so
        return False


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
