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
_UNNAMED = {
    "flv": "flv", "mpegts": "ts", "asf": "wmv", "mpeg": "mpg", "ogg": "ogg", "mp3": "mp3", "aac": "aac", "mxf": "mxf",
    "dv": "dv", "rm": "rm",
}  # fmt: skip
_AUDIO = frozenset({"mp3", "wav", "flac", "m4a", "aac", "ogg"})
_SLACK = 0.5  #: seconds by which a header may overstate the duration
_EXPORT_AGAIN = "Copy or export it again"

# PyAV before 19 refuses a file whose title is not UTF-8 unless told otherwise; PyAV 19 takes any text and has no such
# argument. Python 3.11 gets 18 and Python 3.12 gets 19, so both are in use.
_ANY_TEXT: dict[str, Any] = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "ignore"}


@frozen
class _Decoded:
    """What reading every packet has shown.

    :param frame: the first of the picture.
    :param seconds: of the picture, or of the sound where there is no picture.
    :param sound: seconds of the longest sound; None where there is none.
    """

    frame: VideoFrame | None
    seconds: float
    sound: float | None


@frozen
class _Span:
    """From when to when a track has data, in seconds."""

    begin: float = math.inf
    end: float = 0.0

    @property
    def seconds(self) -> float:
        return max(0.0, self.end - self.begin)

    def extended(self, pts: int, duration: int, time_base: Fraction) -> _Span:
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
    only = {} if reader else {"format_whitelist": ",".join(_UNNAMED)}
    try:
        with av.open(source, "r", format=reader, options=only, **_ANY_TEXT) as container:
            return _media_info(path, kind or _UNNAMED[container.format.name], container, size)
    except InvalidMediaFile:  # which is a ValueError, too
        raise
    except (av.FFmpegError, ValueError) as error:
        raise _broken(path, kind, error) from error


def _broken(path: Path, kind: str | None, error: Exception) -> InvalidMediaFile:
    if kind is None:
        what = "is no video, image or sound by its content, whatever its name says"
        return InvalidMediaFile(path, "not media", what, "Give a media file")
    why = getattr(error, "strerror", None) or error
    return InvalidMediaFile(
        path, "cut short", f"begins like a {kind} but cannot be read to its end ({why})", _EXPORT_AGAIN
    )


def _media_info(path: Path, kind: str, container: InputContainer, size: int) -> MediaInfo:
    picture = next((track for track in container.streams.video if not _is_cover(track)), None)
    if picture is None and not (kind in _AUDIO and container.streams.audio):
        raise InvalidMediaFile(path, "no picture", "has sound only, no picture", "Export it with its video track")
    track = picture or container.streams.audio[0]
    if track.codec_context is None:
        raise InvalidMediaFile(
            path, "unknown codec", "is coded in a way that cannot be read here", "Export it as H.264"
        )
    codec, name = track.codec_context.name, container.format.name
    decoded = _read_packets(path, container, picture)
    if picture is None:
        return MediaInfo(kind=kind, family="audio", container=name, codec=codec, size=size, seconds=decoded.seconds)
    if decoded.frame is None:
        raise InvalidMediaFile(path, "cut short", "holds no frame that can be decoded", _EXPORT_AGAIN)
    width, height = _as_shown(decoded.frame, picture)
    held = decoded.frame.width, decoded.frame.height
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
        seconds=decoded.seconds,
        sound=decoded.sound,
        rate=float(rate) if rate else None,
        mode=decoded.frame.format.name,
        alpha=any(part.is_alpha for part in decoded.frame.format.components),
    )


def _is_cover(track: VideoStream) -> bool:
    return bool(track.disposition & track.disposition.attached_pic)


def _as_shown(frame: VideoFrame, picture: VideoStream) -> tuple[int, int]:
    """Return width and height of the upright picture with square pixels, as a player shows it."""
    width = round(frame.width * (picture.sample_aspect_ratio or 1)) or frame.width
    return (frame.height, width) if round(frame.rotation / 90) % 2 else (width, frame.height)


def _read_packets(path: Path, container: InputContainer, picture: VideoStream | None) -> _Decoded:
    frame, spans = None, dict[int, _Span]()
    for packet in container.demux():
        if packet.is_corrupt:
            raise _cut_short(path, container, spans)
        if frame is None and picture is not None and packet.stream_index == picture.index:
            frame = next((one for one in packet.decode() if isinstance(one, VideoFrame)), None)
        if packet.pts is not None and packet.time_base is not None:
            span = spans.get(packet.stream_index, _Span())
            spans[packet.stream_index] = span.extended(packet.pts, packet.duration or 0, packet.time_base)
    if _stated_seconds(container, spans) - _end_of_data(container, spans) > _SLACK:
        raise _cut_short(path, container, spans)
    sound = max((spans[one.index].seconds for one in container.streams.audio if one.index in spans), default=None)
    seconds = _stated_seconds(container, spans) if picture is None else _picture_seconds(container, picture, spans)
    return _Decoded(frame, seconds, sound)


def _end_of_data(container: InputContainer, spans: Mapping[int, _Span]) -> float:
    """Return up to which second there is data."""
    return max((span.end for span in spans.values()), default=0.0) - (container.start_time or 0) / av.time_base


def _stated_seconds(container: InputContainer, spans: Mapping[int, _Span]) -> float:
    """Return the duration by the header, or by the data if the header does not say."""
    return container.duration / av.time_base if container.duration else _end_of_data(container, spans)


def _picture_seconds(container: InputContainer, picture: VideoStream, spans: Mapping[int, _Span]) -> float:
    """Return the duration of the picture: by the track's header, else by the file's, unless the data ends elsewhere."""
    span = spans.get(picture.index, _Span())
    if picture.duration and picture.time_base:
        stated = float(picture.duration * picture.time_base)
    else:
        stated = _stated_seconds(container, spans)
    return stated if abs(stated - span.seconds) <= _SLACK else span.seconds


def _cut_short(path: Path, container: InputContainer, spans: Mapping[int, _Span]) -> InvalidMediaFile:
    present, stated = _end_of_data(container, spans), _stated_seconds(container, spans)
    of = f" of {stated:.1f}" if stated > present else ""
    return InvalidMediaFile(path, "cut short", f"breaks off after {present:.1f}{of} s", _EXPORT_AGAIN)
