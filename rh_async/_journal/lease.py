"""Who is alive: each session holds an OS lock on a file of its own, which the kernel drops when its process dies.

No heartbeats, so no clock and no false alarms: a process that is stopped, or slow, still holds its lock.
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
        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)  # a locked byte cannot be read there: what is told lies before it
        msvcrt.locking(file, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: int, *, wait: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def mark_in_use(file: int) -> None:
    """Mark an open file as in use until it is closed, or its process dies; where a disk knows no locks, do nothing."""
    with suppress(OSError):
        _lock(file, wait=False)


def in_use(path: Path) -> bool:
    """Whether a process has marked a file as in use.

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


_LOCKED_BYTE = 1 << 30


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that sessions of all processes share, for a moment.

    :raises OSError: the file cannot be opened.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(file, wait=True)
        yield
    finally:
        os.close(file)


@frozen
class Other:
    """A session that lives, in this process or another.

    :param pid: of its process; 0 if it does not say.
    :param files: which files its journal's names led to when it opened them, by inode.
    """

    name: str
    pid: int = 0
    files: Mapping[str, int | None] = {}


@define(eq=False, repr=False)
class ProcessLease:
    """One session's sign of life.

    :param folder: where all sessions of one journal keep theirs.
    """

    _folder: Path
    name: str = field(factory=lambda: uuid4().hex[:12], init=False)
    _file: int | None = field(default=None, init=False)

    def begin(self, files: Mapping[str, int | None] | None = None) -> None:
        """Come alive, and clear away what the dead left.

        :param files: told to the other sessions.
        :raises OSError: the folder cannot be written.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with locked(self._folder / "door"):  # nobody is swept away between making the file and locking it
            for name in self._names():
                if not self.alive(name):
                    self._path(name).unlink(missing_ok=True)
            self._file = os.open(self._path(self.name), os.O_RDWR | os.O_CREAT, 0o600)
            _lock(self._file, wait=False)
            os.write(self._file, json.dumps({"pid": os.getpid(), "files": files or {}}).encode())
        if hasattr(os, "register_at_fork"):
            # A forked child shares the lock, and would show a dead session as alive for as long as it lives itself.
            os.register_at_fork(after_in_child=partial(_let_go, weakref.ref(self)))

    def end(self) -> None:
        """Be gone; harmless twice."""
        if self._file is not None:
            self._path(self.name).unlink(missing_ok=True)
            self.let_go()

    def let_go(self) -> None:
        """Close the file: of the processes that share its lock, the others keep it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def alive(self, name: str) -> bool:
        """Whether the session of that name lives, in whatever process."""
        if name == self.name:
            return self._file is not None
        try:
            return in_use(self._path(name))
        except FileNotFoundError:
            return False

    def others(self) -> list[Other]:
        """The other sessions that live.

        :raises OSError: what they say cannot be read.
        """
        return [self.other(name) for name in self._names() if name != self.name and self.alive(name)]

    def other(self, name: str) -> Other:
        """What another session says of itself.

        :raises OSError: it cannot be read.
        """
        said: Any = None
        with suppress(FileNotFoundError, ValueError):  # gone, or of a version that says nothing
            said = json.loads(self._path(name).read_bytes())
        if not isinstance(said, dict) or not isinstance(said.get("pid"), int):
            return Other(name)
        files = said.get("files")
        return Other(name, said["pid"], files if isinstance(files, dict) else {})

    def _names(self) -> list[str]:
        return [path.stem for path in self._folder.glob("*.alive")]

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.alive"


def _let_go(owner: weakref.ref[ProcessLease]) -> None:
    if (one := owner()) is not None:
        one.let_go()
