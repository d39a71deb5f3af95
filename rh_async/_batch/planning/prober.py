"""Probes and hashes many files, a few at a time, each once however many jobs use it."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path

import anyio
from attrs import define, evolve, field

from rh_async._media.local_file import FileIdentity, LocalFile, LocalFiles, read_file
from rh_async._media.media_info import MediaInfo
from rh_async._media.probe import identify, probe_identified, require_media_extra
from rh_async.errors import ConfigurationError
from rh_async.issues import InvalidMediaFile, Issue, display_text

ProbeResult = MediaInfo | Issue
"""What a file is, or why no model takes it."""

_CORES = os.cpu_count() or 1


def _ignore(_done: int, _all: int) -> None:
    """Ignore the progress."""


@define
class Prober:
    """Probes files in threads, and remembers the results for as long as the files do not change.

    :param width: how many files are probed at once.
    :param progress: called after each file with the number of files done, and of all files.
    :ivar files: what was hashed: a run need not hash it again.
    """

    width: int = field(default=_CORES + 2, kw_only=True)
    progress: Callable[[int, int], None] = field(default=_ignore, kw_only=True)
    files: LocalFiles = field(factory=LocalFiles, init=False, repr=False)
    _results: dict[FileIdentity, ProbeResult] = field(factory=dict, init=False)
    _identities: dict[Path, FileIdentity | Issue] = field(factory=dict, init=False)

    async def probe(self, paths: Iterable[Path]) -> Mapping[Path, ProbeResult]:
        """Find out what each file is; a file under two names is opened once.

        :raises ConfigurationError: the ``media`` extra is not installed.
        """
        paths = list(dict.fromkeys(paths))
        await self._identify(paths)
        await self._probe(self._distinct(path for path in paths if self._identities[path] not in self._results))
        return {path: self._result(path) for path in paths}

    async def content_ids(self, paths: Iterable[Path], *, hash_all: bool = False) -> Mapping[Path, str]:
        """Name what each file holds: equal names mean equal bytes, whatever the files are called.

        Hashing every file would take about as long as uploading it, so only files of equal size are hashed; a file of
        a size that no other file has is named by its identity. Files that were probed are not looked up again.

        :param hash_all: whether each file is named by its hash.
        """
        paths = list(dict.fromkeys(paths))
        await self._identify([path for path in paths if path not in self._identities])
        distinct = self._distinct(paths)
        sizes = Counter(identity.size for identity in distinct)
        await self._hash({one: path for one, path in distinct.items() if hash_all or sizes[one.size] > 1})
        return {path: self._content_id(path) for path in paths}

    async def _identify(self, paths: Iterable[Path]) -> None:
        self._identities |= await asyncio.to_thread(_identify_all, paths)

    def _distinct(self, paths: Iterable[Path]) -> dict[FileIdentity, Path]:
        found = ((self._identities[path], path) for path in paths)
        return {identity: path for identity, path in found if isinstance(identity, FileIdentity)}

    def _result(self, path: Path) -> ProbeResult:
        identity = self._identities[path]
        result = identity if isinstance(identity, Issue) else self._results[identity]
        return evolve(result, subject=display_text(path)) if isinstance(result, Issue) else result

    def _content_id(self, path: Path) -> str:
        identity = self._identities[path]
        if isinstance(identity, Issue):
            return f"nothing at {path}"
        file = self.files.known(path, identity)
        return f"file {identity}" if file is None else file.sha256

    async def _probe(self, distinct: Mapping[FileIdentity, Path]) -> None:
        done = 0

        async def probe_one(identity: FileIdentity, path: Path) -> None:
            nonlocal done
            self._results[identity] = await asyncio.to_thread(_probe_or_issue, path, identity)
            done += 1
            self.progress(done, len(distinct))

        await self._for_each(distinct, probe_one)

    async def _hash(self, distinct: Mapping[FileIdentity, Path]) -> None:
        async def hash_one(identity: FileIdentity, path: Path) -> None:
            if (file := await asyncio.to_thread(_read, path, identity)) is not None:
                self.files.add(file)

        await self._for_each({one: path for one, path in distinct.items() if not self.files.known(path, one)}, hash_one)

    async def _for_each(
        self, distinct: Mapping[FileIdentity, Path], act: Callable[[FileIdentity, Path], Awaitable[None]]
    ) -> None:
        left = iter(distinct.items())

        async def work(left: Iterator[tuple[FileIdentity, Path]]) -> None:
            for identity, path in left:
                await act(identity, path)

        async with anyio.create_task_group() as workers:
            for _ in range(min(self.width, len(distinct))):
                workers.start_soon(work, left)


def _probe_or_issue(path: Path, identity: FileIdentity) -> ProbeResult:
    try:
        return probe_identified(path, identity)
    except InvalidMediaFile as invalid:
        return invalid.issue
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - one odd file, whatever two libraries make of it, stops no other
        what = f"cannot be looked into ({type(error).__name__}: {display_text(str(error))})"
        return Issue(rule="unreadable media", subject=display_text(path), message=what, hint="Copy or export it again")


def _read(path: Path, identity: FileIdentity) -> LocalFile | None:
    try:
        return read_file(path, identity)
    except OSError:
        return None  # it could be looked up a moment ago; the run reports what is wrong with it


def _identify_all(paths: Iterable[Path]) -> dict[Path, FileIdentity | Issue]:
    require_media_extra()  # here, where no task group wraps the error
    return {path: _identify_or_issue(path) for path in paths}


def _identify_or_issue(path: Path) -> FileIdentity | Issue:
    try:
        return identify(path)
    except InvalidMediaFile as invalid:
        return invalid.issue
