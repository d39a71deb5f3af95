"""Looks into many files, a few at a time, each once however many jobs use it."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import file_digest
from pathlib import Path

import anyio
from attrs import define, evolve, field

from rh_async.errors import ConfigurationError
from rh_async.issues import InvalidMediaFile, Issue, display_text

from .media_info import MediaInfo
from .probe import Identity, identity_of, need_media, probe

Seen = MediaInfo | Issue
"""What a file is, or why it can be nothing."""

_CORES = os.cpu_count() or 1


def _ignore(_done: int, _all: int) -> None:
    """Progress that nobody asked for."""


@define
class Prober:
    """Probes files in threads and remembers what it saw, for as long as they do not change.

    :param width: how many files at once.
    :param progress: told after each file how many are done, of how many.
    """

    width: int = field(default=_CORES + 2, kw_only=True)
    progress: Callable[[int, int], None] = field(default=_ignore, kw_only=True)
    _known: dict[Identity, Seen] = field(factory=dict, init=False)
    _sha256s: dict[Identity, str] = field(factory=dict, init=False)

    async def look(self, paths: Iterable[Path]) -> Mapping[Path, Seen]:
        """Find out what each file is; a file under two names is opened once.

        :raises ConfigurationError: the ``media`` extra is not installed.
        """
        found = await asyncio.to_thread(_identities, dict.fromkeys(paths))
        wanted = {who: path for path, who in found.items() if not isinstance(who, Issue) and who not in self._known}
        await self._probe(wanted)
        return {path: self._seen(path, who) for path, who in found.items()}

    async def contents(self, paths: Iterable[Path], *, hash_all: bool = False) -> Mapping[Path, str]:
        """Name what each file holds: the same name means the same bytes, whatever the files are called.

        Reading everything once more would take as long as uploading it, so only files of one size are hashed; a file
        whose size no other has is named for itself.

        :param hash_all: whether each is named by its hash.
        """
        found = await asyncio.to_thread(_identities, dict.fromkeys(paths))
        files = dict.fromkeys(who for who in found.values() if not isinstance(who, Issue))
        sizes = Counter(who[2] for who in files)
        wanted = {who: path for path, who in found.items() if not isinstance(who, Issue)}
        await self._hash({who: path for who, path in wanted.items() if hash_all or sizes[who[2]] > 1})
        return {path: self._content(path, who) for path, who in found.items()}

    def _content(self, path: Path, who: Identity | Issue) -> str:
        if isinstance(who, Issue):
            return f"nothing at {path}"
        return self._sha256s.get(who) or f"file {who}"

    async def _hash(self, wanted: Mapping[Identity, Path]) -> None:
        left = iter([(who, path) for who, path in wanted.items() if who not in self._sha256s])

        async def work(left: Iterator[tuple[Identity, Path]]) -> None:
            for who, path in left:
                sha256 = await asyncio.to_thread(_sha256, path)
                self._sha256s[who] = sha256 or f"file {who}"

        async with anyio.create_task_group() as workers:
            for _ in range(min(self.width, len(wanted))):
                workers.start_soon(work, left)

    def _seen(self, path: Path, who: Identity | Issue) -> Seen:
        seen = who if isinstance(who, Issue) else self._known[who]
        return evolve(seen, subject=display_text(path)) if isinstance(seen, Issue) else seen

    async def _probe(self, wanted: Mapping[Identity, Path]) -> None:
        left, done = iter(wanted.items()), 0

        async def work(left: Iterator[tuple[Identity, Path]]) -> None:
            nonlocal done
            for who, path in left:
                self._known[who] = await asyncio.to_thread(_probed, path)
                done += 1
                self.progress(done, len(wanted))

        async with anyio.create_task_group() as workers:
            for _ in range(min(self.width, len(wanted))):
                workers.start_soon(work, left)


def _probed(path: Path) -> Seen:
    try:
        return probe(path)
    except InvalidMediaFile as error:
        return error.issue
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - one odd file, whatever two libraries make of it, stops no other
        what = f"cannot be looked into ({type(error).__name__}: {display_text(str(error))})"
        return Issue(rule="unreadable media", subject=display_text(path), message=what, hint="Copy or export it again")


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as source:
            return file_digest(source, "sha256").hexdigest()
    except OSError:
        return None  # it was there a moment ago; a run says what became of it


def _identities(paths: Iterable[Path]) -> dict[Path, Identity | Issue]:
    need_media()  # asked here, where nothing wraps it into a group of errors
    return {path: _identity(path) for path in paths}


def _identity(path: Path) -> Identity | Issue:
    try:
        return identity_of(path)
    except InvalidMediaFile as error:
        return error.issue
