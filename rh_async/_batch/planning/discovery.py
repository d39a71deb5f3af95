"""Finds clips and images: files as they are named, folders, patterns. Blocks: call it off the loop.

The order never depends on the disk: names are sorted with digits as numbers, 2 before 10. No folder is searched twice.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from attrs import define, field, frozen

from rh_async._batch.recorded_outputs.known_outputs import KnownOutputs
from rh_async.issues import Issue, display_text

from .path_lookup import compose_accents, find_on_disk

InputKind = Literal["clips", "images"]

_SUFFIXES: Mapping[InputKind, frozenset[str]] = MappingProxyType(
    {
        "clips": frozenset(".mp4 .mov .webm .mkv .avi .m4v .flv .ts .wmv .mpg .mpeg".split()),
        "images": frozenset(".jpg .jpeg .png .webp .gif .bmp .tif .tiff .heic .heif .avif".split()),
    }
)
_PATTERN = re.compile(r"[*?\[]")
_DIGITS = re.compile(r"([0-9]+)")


@frozen
class SearchResult:
    """The files that a search found, in order, and the issues on the way."""

    paths: tuple[Path, ...]
    issues: tuple[Issue, ...]


def find_inputs(
    sources: Iterable[str | os.PathLike[str]],
    kind: InputKind,
    *,
    recursive: bool = False,
    outputs: KnownOutputs | None = None,
) -> SearchResult:
    """Find the files that the sources name: in their order, each path once.

    :param sources: files, which are taken whatever they are; folders and patterns (``*``, ``?``, ``[…]``, and ``**``
        for any folders between), of which hidden files and those of another suffix are left out.
    :param recursive: whether folders are searched with all that is in them.
    :param outputs: where outputs of earlier runs are known to be: they are left out, also those that are named. None to
        take outputs, too.
    """
    search = _Search(kind, recursive, outputs)
    paths = dict.fromkeys(path for source in sources for path in search.inputs(Path(source)))
    return SearchResult(tuple(paths), (*search.issues, *search.left_out()))


def natural_sort_key(path: Path) -> tuple[list[str | int], ...]:
    """Return the key to sort by: digits as numbers, without regard to case."""
    return tuple(
        [int(bit) if bit.isdecimal() else bit for bit in _DIGITS.split(compose_accents(part).casefold())]
        for part in path.parts
    )


@define
class _Search:
    kind: InputKind
    recursive: bool
    outputs: KnownOutputs | None
    issues: list[Issue] = field(factory=list, init=False)
    _skipped: int = field(default=0, init=False)
    _outputs: dict[Path, str] = field(factory=dict, init=False)  #: left out, and why

    def inputs(self, source: Path) -> Iterator[Path]:
        root, paths = self._found(source)
        for path in paths:
            why = None if self.outputs is None else self.outputs.exclusion_reason(path, root)
            if why is None:
                yield path
            else:
                self._outputs[path] = why

    def left_out(self) -> Iterator[Issue]:
        if self._skipped:
            yield self._left_out(
                "left out",
                f"{_files(self._skipped)} left out: hidden, or no {self.kind} by suffix",
                "Name a file to have it taken",
            )
        if self._outputs:
            reasons = Counter(self._outputs.values())
            text = ", ".join(f"{count} {why}" for why, count in sorted(reasons.items()))
            message = f"{_files(len(self._outputs))} left out as outputs: {text}"
            yield self._left_out(
                "outputs left out", message, "--include-outputs (include_outputs=True) takes them, and pays for them"
            )

    def _left_out(self, rule: str, message: str, hint: str) -> Issue:
        return Issue(rule=rule, subject=f"the {self.kind}", message=message, hint=hint, severity="warning")

    def _found(self, source: Path) -> tuple[Path, Sequence[Path]]:
        """Return the folder that is searched for a source, and the files found in it."""
        if _PATTERN.search(str(source)) and not os.path.lexists(source):
            return self._matching(source)
        source = find_on_disk(source)
        return (source, self._inside(source)) if _is_folder(source) else (source.parent, (source,))

    def _inside(self, folder: Path) -> Sequence[Path]:
        found = sorted(
            self._walk(folder, None if self.recursive else 1), key=lambda path: (natural_sort_key(path), path)
        )
        if not found:
            hint = "Put some there, name another folder" + ("" if self.recursive else ", or search its folders too")
            self._report("empty folder", folder, f"no {self.kind} in this folder", hint)
        return found

    def _matching(self, pattern: Path) -> tuple[Path, Sequence[Path]]:
        fixed = next(place for place, part in enumerate(pattern.parts) if _PATTERN.search(part))
        root, wanted_parts = find_on_disk(Path(*pattern.parts[:fixed])), pattern.parts[fixed:]
        depth = None if "**" in wanted_parts else len(wanted_parts)
        inside = ((path, path.parts[len(root.parts) :]) for path in self._walk(root, depth))
        found = sorted(
            (path for path, parts in inside if _fits(parts, wanted_parts)),
            key=lambda path: (natural_sort_key(path), path),
        )
        if not found:
            self._report("matches nothing", pattern, f"matches no {self.kind}", "Correct the pattern, or name a folder")
        return root, found

    def _walk(self, root: Path, depth: int | None) -> Iterator[Path]:
        entered: set[tuple[int, int]] = set()
        pending = [(root, depth)]
        while pending:
            folder, left = pending.pop()
            for entry in self._entries(folder, entered):
                if _is_folder(entry):
                    pending += [] if left == 1 else [(Path(entry.path), None if left is None else left - 1)]
                elif Path(entry.name).suffix.lower() in _SUFFIXES[self.kind]:
                    yield Path(entry.path)
                else:
                    self._skipped += 1

    def _entries(self, folder: Path, entered: set[tuple[int, int]]) -> Sequence[os.DirEntry[str]]:
        try:
            status = folder.stat()
            if (identity := (status.st_dev, status.st_ino)) in entered:
                return ()
            entered.add(identity)
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self._report("unreadable folder", folder, f"cannot be searched ({error.strerror})", "Correct or allow it")
            return ()
        visible = [entry for entry in entries if not entry.name.startswith(".")]
        self._skipped += len(entries) - len(visible)
        return visible

    def _report(self, rule: str, path: Path, message: str, hint: str) -> None:
        self.issues.append(Issue(rule=rule, subject=display_text(path), message=message, hint=hint))


def _is_folder(entry: Path | os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, a name too long: probing it as a file will report it
        return False


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return (
        bool(parts)
        and fnmatchcase(compose_accents(parts[0]), compose_accents(pattern[0]))
        and _fits(parts[1:], pattern[1:])
    )
