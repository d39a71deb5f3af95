"""One small file of each kind that a model can make: valid, playable, and with its task's id inside."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import frozen

from rh_async.emulator.catalogue.emulated_models import OutputKind
from rh_async.emulator.outputs.sample_video import SAMPLE_MP4

_SIDE = 16  #: pixels of a picture
_CELLS = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)  # the corners of a triangle
# MPEG-1 layer III, 32 kbit/s, 44.1 kHz, mono: a header, and side information that says "nothing to hear".
_SILENCE = b"\xff\xfb\x10\xc4" + bytes(100)
_FRAMES = 39  #: about a second of silence


@frozen(kw_only=True)
class OutputFormat:
    """What results of a kind look like.

    :param extension: of the file, and what the answer calls it.
    :param make: draws the file of a task.
    """

    extension: str
    make: Callable[[str], bytes]


def mark(task_id: str) -> str:
    """Return what stands in every output of a task."""
    return f"rh_async.emulator task {task_id}"


def free_box(task_id: str) -> bytes:
    """Return the box of an MP4 that holds a task's id and means nothing (ISO 14496-12, 8.1.2)."""
    content = mark(task_id).encode()
    return struct.pack(">I4s", 8 + len(content), b"free") + content


def mp4(task_id: str) -> bytes:
    """Film the smallest video that plays."""
    return SAMPLE_MP4 + free_box(task_id)


def png(task_id: str) -> bytes:
    """Paint a square, whose colour follows the task."""
    colour = zlib.crc32(task_id.encode()).to_bytes(4)[:3]
    pixels = (b"\0" + colour * _SIDE) * _SIDE
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tEXt", b"Comment\0" + mark(task_id).encode())]
    chunks += [(b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def mp3(task_id: str) -> bytes:
    """Record a second of silence, with the task in its title (ID3v2.3)."""
    title = b"\0" + mark(task_id).encode()
    frame = struct.pack(">4sIH", b"TIT2", len(title), 0) + title
    size = bytes((len(frame) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + frame + _SILENCE * _FRAMES


def glb(task_id: str) -> bytes:
    """Model a triangle (glTF 2.0)."""
    scene = {
        "asset": {"version": "2.0", "generator": mark(task_id)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 0]}
        ],
        "bufferViews": [{"buffer": 0, "byteLength": len(_CELLS)}],
        "buffers": [{"byteLength": len(_CELLS)}],
    }
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(_CELLS), b"BIN\0") + _CELLS
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def words(task_id: str) -> bytes:
    """Write a line."""
    return f"A line of text, by {mark(task_id)}.".encode()


OUTPUT_FORMATS: Mapping[OutputKind, OutputFormat] = MappingProxyType(
    {
        "video": OutputFormat(extension="mp4", make=mp4),
        "image": OutputFormat(extension="png", make=png),
        "audio": OutputFormat(extension="mp3", make=mp3),
        "3d": OutputFormat(extension="glb", make=glb),
        "text": OutputFormat(extension="txt", make=words),
    }
)
