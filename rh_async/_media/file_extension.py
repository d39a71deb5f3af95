"""Chooses the extension of an output's file: by the server's type, the link, the response, or the bytes. Pure.

The server may name an extension (``mp4``), a word (``video``), a media type, or nothing. The first of these that names
an extension decides; only where none does, the file is called ``.bin``.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from urllib.parse import unquote

from rh_async.types import Output

from .filetype import guess_kind

_VIDEO = "mp4 m4v mov webm mkv avi mpg mpeg flv wmv"
_IMAGE = "png jpg jpeg webp gif bmp tif tiff heic avif psd exr"
_AUDIO = "mp3 wav flac m4a aac ogg opus"
_SOLID = "glb fbx stl ply usdz 3mf"
_PACKED = "zip 7z rar pdf safetensors npz"
_WRITTEN = "txt srt vtt ass json csv md html htm xml svg obj mtl gltf dae usda yaml"

BINARY = frozenset(f"{_VIDEO} {_IMAGE} {_AUDIO} {_SOLID} {_PACKED}".split())
"""Extensions of formats that never begin as HTML, XML or JSON do."""
KNOWN = BINARY | frozenset(_WRITTEN.split())

_WORDS = frozenset(
    "video image audio 3d model file media bin binary picture photo music sound voice movie mesh object data other"
    " unknown url link text string output result none null".split()
)
"""Words that are no extension, though the server may send them in place of one."""

_CONTENT_TYPES = MappingProxyType(
    {
        **{f"video/{kind}": kind for kind in _VIDEO.split()},
        **{f"image/{kind}": kind for kind in _IMAGE.split()},
        **{f"audio/{kind}": kind for kind in _AUDIO.split()},
        **{f"application/{kind}": kind for kind in "zip pdf json xml".split()},
        **{f"text/{kind}": kind for kind in "html xml csv vtt".split()},
        "video/quicktime": "mov",
        "video/x-matroska": "mkv",
        "video/x-msvideo": "avi",
        "video/x-m4v": "m4v",
        "image/jpeg": "jpg",
        "image/jpg": "jpg",
        "image/svg+xml": "svg",
        "audio/mpeg": "mp3",
        "audio/mp4": "m4a",
        "audio/x-m4a": "m4a",
        "audio/x-wav": "wav",
        "audio/wave": "wav",
        "audio/x-flac": "flac",
        "model/gltf-binary": "glb",
        "model/gltf+json": "gltf",
        "model/obj": "obj",
        "model/stl": "stl",
        "application/x-zip-compressed": "zip",
        "text/plain": "txt",
        "text/markdown": "md",
    }
)
_EXTENSION = re.compile(r"[a-z0-9]{1,8}")


def stated_extension(output: Output) -> str | None:
    """Return the extension that is known before the download, by the type or the link's path; None if neither says."""
    kind = output.type.strip().lower().lstrip(".")
    kind = _CONTENT_TYPES.get(kind, kind)
    if kind not in _WORDS and _EXTENSION.fullmatch(kind):
        return kind
    return "txt" if output.url is None else _of_link(output.url)


def possible_extensions(output: Output) -> tuple[str, ...]:
    """List every extension that an output may turn out to have."""
    known = stated_extension(output)
    return (*sorted(KNOWN), "bin") if known is None else (known,)


def choose_extension(output: Output, content_type: str, head: bytes) -> str:
    """Choose the extension of an output whose first bytes have come.

    :param content_type: of the response, without parameters; "" for none.
    :param head: the first bytes.
    """
    return stated_extension(output) or _CONTENT_TYPES.get(content_type.lower()) or guess_kind(head) or "bin"


def is_page(head: bytes) -> bool:
    """Whether a file begins as HTML, XML or JSON do, which no image, video or audio does."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return bool(_MARKUP.match(text) or _JSON.match(text))


_MARKUP = re.compile(rb"<[!?a-zA-Z]")
_JSON = re.compile(rb"[{\[]\s*([\"{\[\]}]|\d|true|false|null|$)")


def _of_link(url: str) -> str | None:
    path = unquote(re.split("[?#]", url, maxsplit=1)[0], errors="replace")
    stem, _, suffix = path.rpartition("/")[2].lower().rpartition(".")
    return suffix if stem and suffix in KNOWN else None
