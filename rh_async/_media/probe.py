"""Looks into one media file before anything is sent: whether it can be read to its end, and what it holds.

A server would find the same out later, for money. Blocks: `Prober` keeps it off the loop.
"""

from __future__ import annotations

import os
import stat
from importlib.util import find_spec
from pathlib import Path

from rh_async._media.filetype import HEAD, guess_kind
from rh_async.errors import ConfigurationError
from rh_async.issues import InvalidMediaFile

from .media_info import MediaInfo

Identity = tuple[int, int, int, int]
"""Device, inode, size and time of the last change: while these stay, it is the same file."""

_NOT_FILES = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def probe(path: Path) -> MediaInfo:
    """Find out what a file is. Blocks: call it off the loop.

    :raises Unfit: it cannot be read, is no image, video or sound, or is cut short.
    :raises ConfigurationError: the ``media`` extra is not installed.
    """
    identity_of(path)
    try:
        with path.open("rb") as source:
            head = source.read(HEAD)
    except OSError as error:
        raise unreadable(path, error) from error
    return _look(path, head)


def identity_of(path: Path) -> Identity:
    """What tells a file from every other, and from itself after a change. Blocks: call it off the loop.

    :raises Unfit: there is no such file, it is not a file, or it is empty.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        what = _NOT_FILES.get(stat.S_IFMT(found.st_mode), "a device")
        raise InvalidMediaFile(path, "not a file", f"is {what}, not a file", "Give the media file itself")
    if not found.st_size:
        raise InvalidMediaFile(path, "empty file", "has zero bytes", "Copy or export it again")
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def need_media() -> None:
    """Make sure that files can be looked into. Blocks: call it off the loop.

    :raises ConfigurationError: the ``media`` extra is not installed.
    """
    if any(find_spec(name) is None for name in ("av", "PIL")):
        lacks = "looking into media files needs the media extra: pip install 'rh-async[media]'"
        raise ConfigurationError(lacks, advice="Nothing was sent.")


def _look(path: Path, head: bytes) -> MediaInfo:
    need_media()
    from . import image as _image, video as _video  # noqa: I001, PLC0415 - they need the media extra, the rest not

    kind = guess_kind(head) or _image.other_kind(head)
    return _image.look(path, kind) if kind in _image.KINDS else _video.look(path, kind)


def unreadable(path: Path, error: OSError | ValueError) -> InvalidMediaFile:
    """Why a file cannot be read, and what helps."""
    if isinstance(error, FileNotFoundError):
        return InvalidMediaFile(path, "no such file", "does not exist", "Correct the path")
    if isinstance(error, PermissionError):
        return InvalidMediaFile(
            path, "unreadable file", "may not be read (permission denied)", "Allow reading it (chmod +r)"
        )
    why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return InvalidMediaFile(
        path, "unreadable file", f"cannot be read ({why})", "Correct or shorten its path, or copy the file"
    )
