"""Checks a local file before its first byte is sent: that it is a file, of a kind and size that the field takes."""

from __future__ import annotations

import logging
import os
import re
import stat

from rh_async._media.file_io import is_shortage
from rh_async._media.local_file import FileIdentity, LocalFile
from rh_async.errors import InvalidMedia
from rh_async.models.media_limits import MediaFile, MediaLimits

log = logging.getLogger(__name__)

_WARN_MB = 30  # documented for the upload itself, while model limits reach 500 MB (contract 5.1)
_MB = 1024 * 1024
_SUFFIX = re.compile(r"[a-z0-9]{1,8}")


def identify(media: MediaFile) -> FileIdentity:
    """Look a file up by its path: one ``stat``. Blocks: call it off the loop.

    :raises InvalidMedia: there is no such file, it is none, or the field does not take its size.
    """
    path = media.path
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name
        if is_shortage(error):
            raise
        raise unreadable(media, error) from error
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for its writer
        what = "a directory" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise InvalidMedia(f"{path} is {what}; give the file itself")
    if not found.st_size:
        raise InvalidMedia(f"{path} is empty")
    return FileIdentity.of(found)


def check_limits(media: MediaFile, kind: str | None, size: int) -> None:
    """Check a file's kind and size against the limits of its field.

    :raises InvalidMedia: the field does not take it.
    """
    limits = media.limits or MediaLimits(kinds=())
    if limits.kinds and kind not in limits.kinds:
        found = kind.upper() if kind else "no known kind of media"
        accepted = " or ".join(known.upper() for known in limits.kinds)
        raise InvalidMedia(f"{media.path} is {found}; {media.field} takes {accepted}")
    if limits.max_mb is not None and size > limits.max_mb * _MB:
        raise InvalidMedia(f"{media.path} has {size / _MB:.1f} MB; {media.field} takes {limits.max_mb:g} MB at most")


def unreadable(media: MediaFile, error: OSError | ValueError) -> InvalidMedia:
    """Make the error that says why a file cannot be read."""
    return InvalidMedia(f"{media.path!r:.300} cannot be read: {getattr(error, 'strerror', None) or error}")


def warn_if_too_large(file: LocalFile, limits: MediaLimits | None) -> None:
    """Log that a file is over a limit that is documented, and contradicted elsewhere in the documents."""
    limit_mb = (limits and limits.warn_mb) or _WARN_MB
    if file.size > limit_mb * _MB:
        fields = {"path": os.fspath(file.path), "size": file.size, "limit_mb": limit_mb}
        log.warning("rh_async.media_over_doubtful_limit %(path)s: %(size)d bytes, documented %(limit_mb)g MB", fields)


def extension(file: LocalFile) -> str:
    """Choose the extension that a file is sent under: by its content, else by its name."""
    suffix = file.path.suffix.lower().lstrip(".")
    return file.kind or (suffix if _SUFFIX.fullmatch(suffix) else "bin")
