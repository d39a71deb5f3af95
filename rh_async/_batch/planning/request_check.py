"""Judges one request before it is sent, as a plan judges many; without the ``media`` extra, by its first bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rh_async._media.filetype import HEAD, guess_kind
from rh_async._media.media_info import Family, MediaInfo
from rh_async._media.mp4 import duration
from rh_async._media.probe import identify, require_media_extra, unreadable
from rh_async._media.prober import Prober
from rh_async.errors import ConfigurationError
from rh_async.issues import InvalidMediaFile, Issue, display_text
from rh_async.models.base import Request

from .validation import check

_VIDEOS = frozenset({"mp4", "mov", "webm", "mkv", "avi"})
_SOUNDS = frozenset({"mp3", "wav", "flac", "m4a"})


async def check_request(request: Request) -> tuple[Issue, ...]:
    """Find everything that is wrong with a request and its files, or doubtful; nothing is sent."""
    paths = list(dict.fromkeys(media.path for media in request.media()))
    whole = await asyncio.to_thread(_has_media)
    seen = await Prober().probe(paths) if whole else await asyncio.to_thread(_sketched, paths)
    found = await asyncio.to_thread(check, request, seen)
    return found if whole else (*found, *_unseen(seen))


def _has_media() -> bool:
    try:
        require_media_extra()
    except ConfigurationError:
        return False
    return True


def _sketched(paths: Iterable[Path]) -> Mapping[Path, MediaInfo | Issue]:
    return {path: _sketch(path) for path in paths}


def _sketch(path: Path) -> MediaInfo | Issue:
    """Kind, size and length, which the first bytes and a video's header tell; no pixels."""
    try:
        size = identify(path).size
        with path.open("rb") as source:
            kind, seconds = guess_kind(source.read(HEAD)), duration(source)
    except InvalidMediaFile as error:
        return error.issue
    except OSError as error:
        return unreadable(path, error).issue
    if kind is None:
        what = "is of no kind that its first bytes tell"
        hint = "Check that it is a media file"
        return Issue(rule="kind of file", subject=display_text(path), message=what, hint=hint, severity="warning")
    return MediaInfo(kind=kind, family=_family(kind), container="", codec="", size=size, seconds=seconds)


def _family(kind: str) -> Family:
    return "video" if kind in _VIDEOS else "audio" if kind in _SOUNDS else "image"


def _unseen(seen: Mapping[Path, MediaInfo | Issue]) -> Iterator[Issue]:
    for path, facts in seen.items():
        if isinstance(facts, MediaInfo):
            what = "was judged by its kind, size and length alone, without its picture"
            hint = "Install the media extra to have it looked into: pip install 'rh-async[media]'"
            yield Issue(rule="not looked into", subject=display_text(path), message=what, hint=hint, severity="warning")
