"""Who is alive: each session holds an OS lock on a file of its own, which the kernel drops when its process dies.

No heartbeats, so no clock and no false alarms: a process that is stopped, or slow, still holds its lock.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from attrs import define, field

if sys.platform == "win32":  # pragma: no cover - best effort there
    import msvcrt

    def _lock(file: int, *, wait: bool) -> None:
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


@define(eq=False, repr=False)
class Owner:
    """One session's sign of life.

    :param folder: where all sessions of one journal keep theirs.
    """

    _folder: Path
    name: str = field(factory=lambda: uuid4().hex[:12], init=False)
    _file: int | None = field(default=None, init=False)

    def begin(self) -> None:
        """Come alive, and clear away what the dead left.

        :raises OSError: the folder cannot be written.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with locked(self._folder / "door"):  # nobody is swept away between making the file and locking it
            for path in self._folder.glob("*.alive"):
                if not self.alive(path.stem):
                    path.unlink(missing_ok=True)
            self._file = os.open(self._path(self.name), os.O_RDWR | os.O_CREAT, 0o600)
            _lock(self._file, wait=False)

    def end(self) -> None:
        """Be gone; harmless twice."""
        if self._file is not None:
            self._path(self.name).unlink(missing_ok=True)
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

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.alive"
