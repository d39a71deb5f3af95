"""Probes one media file before anything is sent: whether it can be read to its end, and what it holds.

The server would find the same problems later, after the submit was paid. Blocks: `Prober` keeps it off the event loop.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from rh_async.errors import ConfigurationError
from rh_async.issues import InvalidMediaFile

from .filetype import HEAD, guess_kind
from .local_file import FileIdentity
from .media_info import MediaInfo

_NOT_FILES = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def probe(path: Path) -> MediaInfo:
    """Find out what a file is. Blocks: call it off the event loop.

    :raises InvalidMediaFile: it cannot be read, is not an image, a video or audio, or is cut short.
    :raises ConfigurationError: the ``media`` extra is not installed.
    """
    return probe_identified(path, identify(path))


def probe_identified(path: Path, identity: FileIdentity) -> MediaInfo:
    """Find out what a regular file is, with one open. Blocks: call it off the event loop.

    :param identity: as it was just looked up.
    :raises InvalidMediaFile: it cannot be read, is not an image, a video or audio, or is cut short.
    :raises ConfigurationError: the ``media`` extra is not installed.
    """
    with ExitStack() as stack:
        try:
            source = stack.enter_context(path.open("rb"))
            head = source.read(HEAD)
        except OSError as error:
            raise unreadable(path, error) from error
        source.seek(0)
        return _probe_open(path, source, guess_kind(head), head, identity.size)


def _probe_open(path: Path, source: BinaryIO, kind: str | None, head: bytes, size: int) -> MediaInfo:
    require_media_extra()
    from . import image, video  # noqa: PLC0415 - these two need the media extra; the rest of the package does not

    kind = kind or image.guess_image_kind(head)
    if kind in image.KINDS:
        return image.probe_image(path, source, kind, size)
    return video.probe_video(path, source, kind, size)


def identify(path: Path) -> FileIdentity:
    """Look a file up by its path: one ``stat``. Blocks: call it off the event loop.

    :raises InvalidMediaFile: there is no such file, it is not a regular file, or it is empty.
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
    return FileIdentity.of(found)


def require_media_extra() -> None:
    """Check that media files can be probed. Blocks: call it off the event loop.

    :raises ConfigurationError: the ``media`` extra is not installed.
    """
    if any(find_spec(name) is None for name in ("av", "PIL")):
        message = "looking into media files needs the media extra: pip install 'rh-async[media]'"
        raise ConfigurationError(message, advice="Nothing was sent.")


def unreadable(path: Path, error: OSError | ValueError) -> InvalidMediaFile:
    """Make the error that says why a file cannot be read, and what helps."""
    if isinstance(error, FileNotFoundError):
        return InvalidMediaFile(path, "no such file", "does not exist", "Correct the path")
    if isinstance(error, PermissionError):
        message = "may not be read (permission denied)"
        return InvalidMediaFile(path, "unreadable file", message, "Allow reading it (chmod +r)")
    why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    hint = "Correct or shorten its path, or copy the file"
    return InvalidMediaFile(path, "unreadable file", f"cannot be read ({why})", hint)
