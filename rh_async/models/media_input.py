"""Defines media that are not a file yet: bytes, an open file, a stream or a picture.

The values here only hold what the caller gave. They stand in a request wherever
a path can; nothing is read before the session needs it.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterable
from enum import Enum
from typing import Protocol, cast, runtime_checkable

from attrs import field, frozen

from rh_async.errors import InvalidRequestError

Bytes = bytes | bytearray | memoryview


@runtime_checkable
class BinaryFile(Protocol):
    """Describe a binary file: what ``open(path, "rb")``, `io.BytesIO` and `tempfile.SpooledTemporaryFile` give."""

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes; none at the end."""


@runtime_checkable
class Picture(Protocol):
    """Describe a picture as Pillow has it; it is sent as PNG."""

    @property
    def mode(self) -> str:
        """The pixel format."""

    def save(self, fp: io.BytesIO, format: str | None = None) -> None:  # noqa: A002 - Pillow's own name
        """Write the picture to a file."""


Source = Bytes | BinaryFile | Picture | AsyncIterable[bytes]


class SourceKind(Enum):
    """Name how a source is read."""

    BYTES = "bytes"
    FILE = "an open file"
    STREAM = "a stream"
    PICTURE = "a picture"


@frozen(eq=False)
class Media:
    """Hold media that are not a file yet. The session writes them to disk once, and removes them with their last job.

    One value may stand in many requests. It equals only itself: what two sources hold is known once they are read, and
    equal bytes are uploaded once.

    :param source: what holds the bytes.
    :param kind: how the source is read.
    :param name: what messages call the media; the kind of file is found by content.
    :param rereadable: whether the source can be read again once its file was removed.
    """

    source: Source = field(repr=False)
    kind: SourceKind
    name: str = "media"
    rereadable: bool = True

    @classmethod
    def from_bytes(cls, data: Bytes, name: str = "media") -> Media:
        """Take bytes.

        :raises InvalidRequestError: they are none.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidRequestError(f"Media.from_bytes takes bytes, not {type(data).__name__}")
        return cls(bytes(data), SourceKind.BYTES, _name(name))

    @classmethod
    def from_file(cls, file: BinaryFile, name: str | None = None) -> Media:
        """Take an open binary file: the whole of it if it can be rewound, else from where it stands.

        It stays open, and must until the job is accepted.

        :param name: by default the file's own.
        :raises InvalidRequestError: it is none, or was opened as text.
        """
        if isinstance(file, io.TextIOBase):
            raise InvalidRequestError(f"{file!r:.80} is opened as text; open it in binary mode ('rb')")
        if not isinstance(file, BinaryFile):
            raise InvalidRequestError(f"Media.from_file takes an open binary file, not {type(file).__name__}")
        own = getattr(file, "name", None)
        return cls(file, SourceKind.FILE, _name(name or (own if isinstance(own, str) else "")), _can_rewind(file))

    @classmethod
    def from_stream(cls, chunks: AsyncIterable[bytes], name: str = "media") -> Media:
        """Take an asynchronous iterable of bytes, which is read once, to its end.

        :raises InvalidRequestError: it is none.
        """
        if not isinstance(chunks, AsyncIterable):
            raise InvalidRequestError(
                f"Media.from_stream takes an async iterable of bytes, not {type(chunks).__name__}"
            )
        return cls(chunks, SourceKind.STREAM, _name(name), rereadable=False)

    @classmethod
    def from_image(cls, image: Picture, name: str = "image.png") -> Media:
        """Take a Pillow image; it is sent as PNG.

        :raises InvalidRequestError: it is none.
        """
        if not isinstance(image, Picture):
            raise InvalidRequestError(f"Media.from_image takes a Pillow image, not {type(image).__name__}")
        return cls(image, SourceKind.PICTURE, _name(name))


def media_from(value: object) -> Media | None:
    """Make `Media` of a value that can be read as such; None for any other value.

    :raises InvalidRequestError: it is a file that was opened as text.
    """
    if isinstance(value, Media):
        return value
    if isinstance(value, str | bytes | bytearray | memoryview):
        return None
    if isinstance(value, AsyncIterable):
        return Media.from_stream(cast("AsyncIterable[bytes]", value))
    if isinstance(value, Picture):
        return Media.from_image(value)
    if isinstance(value, io.IOBase) or callable(getattr(value, "read", None)):
        return Media.from_file(cast("BinaryFile", value))
    return None


def _can_rewind(file: BinaryFile) -> bool:
    if not hasattr(file, "seek"):
        return False
    try:
        return bool(getattr(file, "seekable", lambda: True)())
    except (OSError, ValueError):  # it is closed: reading it will say so
        return False


def _name(given: str) -> str:
    """Return the last part of a name, without what no file name can have."""
    last = given.replace("\\", "/").rsplit("/", 1)[-1]
    cleaned = "".join(sign if sign.isprintable() and sign not in "<>:|?*" else "_" for sign in last).strip(". ")
    return cleaned.encode(errors="replace").decode()[-80:] or "media"
