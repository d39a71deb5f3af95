"""Shows which sessions are running: each holds an OS lock on a file of its own, which the kernel drops when it dies.

There is no heartbeat, so no clock and no false alarm: a process that is stopped, or slow, still holds its lock.
"""

from __future__ import annotations

import json
import os
import sys
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from attrs import define, field, frozen

if sys.platform == "win32":  # pragma: no cover - best effort there
    import msvcrt

    def _lock(file: int, *, wait: bool) -> None:
        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)  # a locked byte cannot be read there: what is written lies before it
        msvcrt.locking(file, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: int, *, wait: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


_LOCKED_BYTE = 1 << 30


def mark_in_use(file: int) -> None:
    """Mark an open file as in use until it is closed, or its process dies; on a disk without locks, do nothing."""
    with suppress(OSError):
        _lock(file, wait=False)


def in_use(path: Path) -> bool:
    """Return whether a process has marked a file as in use.

    :raises OSError: it cannot be opened.
    """
    file = os.open(path, os.O_RDWR)
    try:
        _lock(file, wait=False)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(file)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that the sessions of all processes share, for a moment.

    :raises OSError: the file cannot be opened.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(file, wait=True)
        yield
    finally:
        os.close(file)


@frozen
class RunningSession:
    """A session that is running, in this process or another.

    :param pid: of its process; 0 if its file does not say.
    :param files: which files its journal's names led to when it opened them, by inode.
    """

    name: str
    pid: int = 0
    files: Mapping[str, int | None] = {}


@define(eq=False, repr=False)
class ProcessLease:
    """One session's proof that it is running.

    :param folder: where all sessions of one journal keep their lease files.
    """

    _folder: Path
    name: str = field(factory=lambda: uuid4().hex[:12], init=False)
    _file: int | None = field(default=None, init=False)

    def acquire(self, files: Mapping[str, int | None] | None = None) -> None:
        """Create and lock this session's lease file; remove the lease files of ended sessions.

        :param files: written into it, for the other sessions.
        :raises OSError: the folder cannot be written.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        # One session at a time: else another could remove this one's file between its creation and its lock.
        with locked(self._folder / "door"):  # the name of earlier versions, which must meet at the same lock
            for name in self._names():
                if not self.is_alive(name):
                    self._path(name).unlink(missing_ok=True)
            self._file = os.open(self._path(self.name), os.O_RDWR | os.O_CREAT, 0o600)
            _lock(self._file, wait=False)
            os.write(self._file, json.dumps({"pid": os.getpid(), "files": files or {}}).encode())
        if hasattr(os, "register_at_fork"):
            # A forked child shares the lock, and would show an ended session as running for as long as it lives itself.
            os.register_at_fork(after_in_child=partial(_close_in_child, weakref.ref(self)))

    def release(self) -> None:
        """Remove the lease file and drop its lock; harmless twice."""
        if self._file is not None:
            self._path(self.name).unlink(missing_ok=True)
            self.close()

    def close(self) -> None:
        """Close the file: of the processes that share its lock, the others keep it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def is_alive(self, name: str) -> bool:
        """Return whether the session of that name is running, in any process.

        :raises OSError: its file cannot be opened.
        """
        if name == self.name:
            return self._file is not None
        try:
            return in_use(self._path(name))
        except FileNotFoundError:
            return False

    def others(self) -> list[RunningSession]:
        """Return the other sessions that are running.

        :raises OSError: their files cannot be read.
        """
        return [self.session(name) for name in self._names() if name != self.name and self.is_alive(name)]

    def session(self, name: str) -> RunningSession:
        """Return what a session's lease file says.

        :raises OSError: it cannot be read.
        """
        content: Any = None
        with suppress(FileNotFoundError, ValueError):  # the session has ended, or is of a version that writes nothing
            content = json.loads(self._path(name).read_bytes())
        if not isinstance(content, dict) or not isinstance(content.get("pid"), int):
            return RunningSession(name)
        files = content.get("files")
        return RunningSession(name, content["pid"], files if isinstance(files, dict) else {})

    def _names(self) -> list[str]:
        return [path.stem for path in self._folder.glob("*.alive")]

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.alive"


def _close_in_child(lease: weakref.ref[ProcessLease]) -> None:
    if (one := lease()) is not None:
        one.close()
