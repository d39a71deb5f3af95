"""Checks one request before it is submitted, as a plan checks many; without the ``media`` extra, by file headers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rh_async._media.filetype import HEAD, guess_kind
from rh_async._media.media_info import Family, MediaInfo
from rh_async._media.mp4 import duration
from rh_async._media.probe import identify, require_media_extra, unreadable
from rh_async.errors import ConfigurationError
from rh_async.issues import InvalidMediaFile, Issue, display_text
from rh_async.models.base import Request

from .prober import Prober
from .validation import check

_VIDEOS = frozenset({"mp4", "mov", "webm", "mkv", "avi"})
_SOUNDS = frozenset({"mp3", "wav", "flac", "m4a"})


async def check_request(request: Request) -> tuple[Issue, ...]:
    """Find everything that is wrong with a request and its files, or doubtful; nothing is sent."""
    paths = list(dict.fromkeys(media.path for media in request.media()))
    has_extra = await asyncio.to_thread(_has_media_extra)
    media_info = await Prober().probe(paths) if has_extra else await asyncio.to_thread(_read_headers, paths)
    found = await asyncio.to_thread(check, request, media_info)
    return found if has_extra else (*found, *_unprobed(media_info))


def _has_media_extra() -> bool:
    try:
        require_media_extra()
    except ConfigurationError:
        return False
    return True


def _read_headers(paths: Iterable[Path]) -> Mapping[Path, MediaInfo | Issue]:
    return {path: _read_header(path) for path in paths}


def _read_header(path: Path) -> MediaInfo | Issue:
    """Read kind, size and duration from the first bytes and the header of a video; dimensions stay unknown."""
    try:
        size = identify(path).size
        with path.open("rb") as source:
            kind, seconds = guess_kind(source.read(HEAD)), duration(source)
    except InvalidMediaFile as error:
        return error.issue
    except OSError as error:
        return unreadable(path, error).issue
    if kind is None:
        message = "is of no kind that its first bytes tell"
        hint = "Check that it is a media file"
        return Issue(rule="kind of file", subject=display_text(path), message=message, hint=hint, severity="warning")
    return MediaInfo(kind=kind, family=_family(kind), container="", codec="", size=size, seconds=seconds)


def _family(kind: str) -> Family:
    return "video" if kind in _VIDEOS else "audio" if kind in _SOUNDS else "image"


def _unprobed(media_info: Mapping[Path, MediaInfo | Issue]) -> Iterator[Issue]:
    for path, info in media_info.items():
        if isinstance(info, MediaInfo):
            message = "was checked by its kind, size and length alone, without its picture"
            hint = "Install the media extra to have it looked into: pip install 'rh-async[media]'"
            yield Issue(
                rule="not looked into", subject=display_text(path), message=message, hint=hint, severity="warning"
            )
