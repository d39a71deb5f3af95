"""Probes videos and audio: reads every packet, decodes one frame. Needs the ``media`` extra."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
from attrs import frozen
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from rh_async.issues import InvalidMediaFile

from .media_info import MediaInfo

_READERS = {
    "mp4": "mov", "mov": "mov", "m4a": "mov", "webm": "matroska", "mkv": "matroska", "avi": "avi",
    "mp3": "mp3", "wav": "wav", "flac": "flac",
}  # fmt: skip
_OTHERS = {
    "flv": "flv", "mpegts": "ts", "asf": "wmv", "mpeg": "mpg", "ogg": "ogg", "mp3": "mp3", "aac": "aac", "mxf": "mxf",
    "dv": "dv", "rm": "rm",
}  # fmt: skip
_SOUNDS = frozenset({"mp3", "wav", "flac", "m4a", "aac", "ogg"})
_SLACK = 0.5  #: seconds by which a header may overstate
_AGAIN = "Copy or export it again"

# PyAV before 19 refuses a file whose title is not UTF-8 unless told otherwise; PyAV 19 takes any text and has no such
# argument. Python 3.11 gets 18 and Python 3.12 gets 19, so both are in use.
_ANY_TEXT: dict[str, Any] = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "ignore"}


@frozen
class _Read:
    """What is there after the last packet.

    :param frame: the first of the picture.
    :param seconds: of the picture, or of the sound where there is no picture.
    :param sound: seconds of the longest sound; None where there is none.
    """

    frame: VideoFrame | None
    seconds: float
    sound: float | None


@frozen
class _Span:
    """From when to when a track has anything, in seconds."""

    begin: float = math.inf
    end: float = 0.0

    @property
    def seconds(self) -> float:
        return max(0.0, self.end - self.begin)

    def with_(self, pts: int, duration: int, time_base: Fraction) -> _Span:
        begin, end = float(pts * time_base), float((pts + duration) * time_base)
        return _Span(min(self.begin, begin), max(self.end, end))


def probe_video(path: Path, source: BinaryIO, kind: str | None, size: int) -> MediaInfo:
    """Find out what a video or an audio file is. Blocks: call it off the event loop.

    :param source: the open file, at its start.
    :raises InvalidMediaFile: it is neither, or cannot be read to its end, or is a video without a picture.
    """
    if kind == "zip":
        raise InvalidMediaFile(path, "not media", "is an archive, not a video", "Unpack it and give the files inside")
    reader = _READERS.get(kind or "")
    # A named reader on an open file: a playlist in disguise can open no other file or URL, and any file name works.
    only = {} if reader else {"format_whitelist": ",".join(_OTHERS)}
    try:
        with av.open(source, "r", format=reader, options=only, **_ANY_TEXT) as film:
            return _media_info(path, kind or _OTHERS[film.format.name], film, size)
    except InvalidMediaFile:  # which is a ValueError, too
        raise
    except (av.FFmpegError, ValueError) as error:
        raise _broken(path, kind, error) from error


def _broken(path: Path, kind: str | None, error: Exception) -> InvalidMediaFile:
    if kind is None:
        what = "is no video, image or sound by its content, whatever its name says"
        return InvalidMediaFile(path, "not media", what, "Give a media file")
    why = getattr(error, "strerror", None) or error
    return InvalidMediaFile(path, "cut short", f"begins like a {kind} but cannot be read to its end ({why})", _AGAIN)


def _media_info(path: Path, kind: str, film: InputContainer, size: int) -> MediaInfo:
    picture = next((track for track in film.streams.video if not _is_cover(track)), None)
    if picture is None and not (kind in _SOUNDS and film.streams.audio):
        raise InvalidMediaFile(path, "no picture", "has sound only, no picture", "Export it with its video track")
    track = picture or film.streams.audio[0]
    if track.codec_context is None:
        raise InvalidMediaFile(
            path, "unknown codec", "is coded in a way that cannot be read here", "Export it as H.264"
        )
    codec, name = track.codec_context.name, film.format.name
    read = _read(path, film, picture)
    if picture is None:
        return MediaInfo(kind=kind, family="audio", container=name, codec=codec, size=size, seconds=read.seconds)
    if read.frame is None:
        raise InvalidMediaFile(path, "cut short", "holds no frame that can be decoded", _AGAIN)
    width, height = _as_shown(read.frame, picture)
    held = read.frame.width, read.frame.height
    rate = picture.average_rate or picture.guessed_rate
    return MediaInfo(
        kind=kind,
        family="video",
        container=name,
        codec=codec,
        size=size,
        width=width,
        height=height,
        stored=None if held == (width, height) else held,
        seconds=read.seconds,
        sound=read.sound,
        rate=float(rate) if rate else None,
        mode=read.frame.format.name,
        alpha=any(part.is_alpha for part in read.frame.format.components),
    )


def _is_cover(track: VideoStream) -> bool:
    return bool(track.disposition & track.disposition.attached_pic)


def _as_shown(frame: VideoFrame, picture: VideoStream) -> tuple[int, int]:
    """The sides of the upright picture with square pixels, as a player shows it."""
    width = round(frame.width * (picture.sample_aspect_ratio or 1)) or frame.width
    return (frame.height, width) if round(frame.rotation / 90) % 2 else (width, frame.height)


def _read(path: Path, film: InputContainer, picture: VideoStream | None) -> _Read:
    frame, spans = None, dict[int, _Span]()
    for packet in film.demux():
        if packet.is_corrupt:
            raise _cut(path, film, spans)
        if frame is None and picture is not None and packet.stream_index == picture.index:
            frame = next((one for one in packet.decode() if isinstance(one, VideoFrame)), None)
        if packet.pts is not None and packet.time_base is not None:
            span = spans.get(packet.stream_index, _Span())
            spans[packet.stream_index] = span.with_(packet.pts, packet.duration or 0, packet.time_base)
    if _stated(film, spans) - _there(film, spans) > _SLACK:
        raise _cut(path, film, spans)
    sound = max((spans[one.index].seconds for one in film.streams.audio if one.index in spans), default=None)
    seconds = _stated(film, spans) if picture is None else _picture_seconds(film, picture, spans)
    return _Read(frame, seconds, sound)


def _there(film: InputContainer, spans: Mapping[int, _Span]) -> float:
    """Up to which second there is anything."""
    return max((span.end for span in spans.values()), default=0.0) - (film.start_time or 0) / av.time_base


def _stated(film: InputContainer, spans: Mapping[int, _Span]) -> float:
    """How long it is by its header, or by what is there if that does not say."""
    return film.duration / av.time_base if film.duration else _there(film, spans)


def _picture_seconds(film: InputContainer, picture: VideoStream, spans: Mapping[int, _Span]) -> float:
    """How long the picture is: by its own header, by that of the whole if nothing else outlasts it, or by its end."""
    span = spans.get(picture.index, _Span())
    if picture.duration and picture.time_base:
        stated = float(picture.duration * picture.time_base)
    else:
        stated = _stated(film, spans)
    return stated if abs(stated - span.seconds) <= _SLACK else span.seconds


def _cut(path: Path, film: InputContainer, spans: Mapping[int, _Span]) -> InvalidMediaFile:
    there, stated = _there(film, spans), _stated(film, spans)
    of = f" of {stated:.1f}" if stated > there else ""
    return InvalidMediaFile(path, "cut short", f"breaks off after {there:.1f}{of} s", _AGAIN)
