"""Looks into videos and sounds: reads every packet, decodes one frame. Needs the ``media`` extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from attrs import frozen
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ._facts import Facts
from ._findings import Unfit

_READERS = {
    "mp4": "mov", "mov": "mov", "m4a": "mov", "webm": "matroska", "mkv": "matroska", "avi": "avi",
    "mp3": "mp3", "wav": "wav", "flac": "flac",
}  # fmt: skip
_OTHERS = {"flv": "flv", "mpegts": "ts", "asf": "wmv"}
_SOUNDS = frozenset({"mp3", "wav", "flac", "m4a"})
_SLACK = 0.5  #: seconds by which a header may overstate
_AGAIN = "Copy or export it again"

# PyAV before 19 refuses a file whose title is not UTF-8 unless told otherwise; PyAV 19 takes any text and has no such
# argument. Python 3.11 gets 18 and Python 3.12 gets 19, so both are in use.
_ANY_TEXT: dict[str, Any] = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "ignore"}


@frozen
class _Read:
    """What is there after the last packet: the first frame, and how many seconds there were."""

    frame: VideoFrame | None
    seconds: float


def look(path: Path, kind: str | None) -> Facts:
    """Find out what a video or a sound is. Blocks: call it off the loop.

    :raises Unfit: it is neither, or cannot be read to its end, or is a video without a picture.
    """
    if kind == "zip":
        raise Unfit(path, "not media", "is an archive, not a video", "Unpack it and give the files inside")
    reader = _READERS.get(kind or "")
    # A named reader on an open file: a playlist in disguise reaches nothing else, and any name can be read.
    only = {} if reader else {"format_whitelist": ",".join(_OTHERS)}
    try:
        with (
            path.open("rb") as source,
            av.open(source, "r", format=reader, options=only, **_ANY_TEXT) as film,
        ):
            return _facts(path, kind or _OTHERS[film.format.name], film)
    except (av.FFmpegError, ValueError) as error:
        raise _broken(path, kind, error) from error


def _broken(path: Path, kind: str | None, error: Exception) -> Unfit:
    if kind is None:
        what = "is no video, image or sound by its content, whatever its name says"
        return Unfit(path, "not media", what, "Give a media file")
    why = getattr(error, "strerror", None) or error
    return Unfit(path, "cut short", f"begins like a {kind} but cannot be read to its end ({why})", _AGAIN)


def _facts(path: Path, kind: str, film: InputContainer) -> Facts:
    picture = next((track for track in film.streams.video if not _is_cover(track)), None)
    if picture is None and not (kind in _SOUNDS and film.streams.audio):
        raise Unfit(path, "no picture", "has sound only, no picture", "Export it with its video track")
    track = picture or film.streams.audio[0]
    if track.codec_context is None:
        raise Unfit(path, "unknown codec", "is coded in a way that cannot be read here", "Export it as H.264")
    size, codec, name = path.stat().st_size, track.codec_context.name, film.format.name
    read = _read(path, film, picture)
    if picture is None:
        return Facts(kind=kind, family="audio", container=name, codec=codec, size=size, seconds=read.seconds)
    if read.frame is None:
        raise Unfit(path, "cut short", "holds no frame that can be decoded", _AGAIN)
    width, height = _upright(read.frame)
    rate = picture.average_rate or picture.guessed_rate
    return Facts(
        kind=kind,
        family="video",
        container=name,
        codec=codec,
        size=size,
        width=width,
        height=height,
        seconds=read.seconds,
        rate=float(rate) if rate else None,
        mode=read.frame.format.name,
        alpha=any(part.is_alpha for part in read.frame.format.components),
    )


def _is_cover(track: VideoStream) -> bool:
    return bool(track.disposition & track.disposition.attached_pic)


def _upright(frame: VideoFrame) -> tuple[int, int]:
    return (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)


def _read(path: Path, film: InputContainer, picture: VideoStream | None) -> _Read:
    frame, end = None, 0.0
    for packet in film.demux():
        if packet.is_corrupt:
            raise Unfit(path, "cut short", f"breaks off after {end:.1f} s", _AGAIN)
        if frame is None and picture is not None and packet.stream_index == picture.index:
            frame = next((one for one in packet.decode() if isinstance(one, VideoFrame)), None)
        if packet.pts is not None and packet.time_base is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    there = end - (film.start_time or 0) / av.time_base
    stated = film.duration / av.time_base if film.duration else there
    if stated - there > _SLACK:
        raise Unfit(path, "cut short", f"breaks off after {there:.1f} of {stated:.1f} s", _AGAIN)
    return _Read(frame, stated)
