"""Creates a small valid file of each output kind, with the id of its task inside."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import frozen

from rh_async.emulator.catalogue.emulated_models import OutputKind

# The smallest MP4 that plays: one blue square for a second.
_PACKED_MP4 = (
    r"c-nnbF>ezw6n0ub1tC$?A~AF@P$49m<nEeArP4_)RYe$(Sm=awIJPf$#6DkbCv7@0Fd%jq+4v1iNF5lMSfPjk76c0j{y=!XrcGL)zI%Spe&2h~?>"
    r"*lkgm7$od1{nIXbd?H6p$|UWnS|ULKCs(9CV3f!~$PCb+X@I`Ly=^_1E3TtLJkc@a~l#KevK<4VN)hnq$Ad0Aiy8Th%*v*KU<-cx8PRbc|C_tg5^"
    r"xcx-XtdGqDK3miJJHeae%H#avc-IQ@9NLEq0Rds$ViIoB{Dz~Z1%o3)gNoeR{&EwF=j5md%?a*6-2a}A5p5bnVB@bCju<0~G@^Ef?0Eao!Ec7cLK"
    r"w!c$-Qp~AzMMs*N!H?_U&l1jN|FdneQY%sA~k?m+*)MRf<QMU%#0JZtuh`4{+#dQm>3)7rk&<sG;pwyM=FjDcSbhRU|>KglxmX%7SV9eh?Mf-hKD"
    r"m<grKP;)*U0wEZ2en2=<$zqe(BKO6H_E5Y)zMl4jrnfSNc=tcm2#)h16{iOoT3^B$<fU}0a3WSY6?lxLiFoU6jzl|*xsxI)vA>KMx=)WKB}7GW@7"
    r"@$iO=9(t8Jh`Do9aIzKFZ-8Jd&%+u{b0{jb4r*S525p2MdIT41ia&Y0bp9zCyWsDj<==~FV)8TGulG`^E~tg<CJY@K<KGG@A@>eP=`iZ(dKn!%#^"
    r"AjQ>9#?>Z`(!8@xQ&f*vH5DXWYpFAvDXGHNa=MFm`A$@LSlHUP!pFAYjRk=Du9ey*I_8oG_vHHST*EMXtN=r$I6%xWklgLtkPLrn|CmI(p1mwx^q"
    r"6(Cm>k&UUoGdvfWtu}uN;OJfZi!8~(6iT{+sB|V86z#IQX932<?eVDI<*VWR^oiqI}Xu1Xb<MyO$NHJaeb@^clok-rDd+QQ{>o}<7)PWOYiz@GjE"
    r"DicF1Ba)F_YY_qblZc=@L;${)d=1L3OmfY?kq@Na5pZEb^^MmNuG<*tR_-u_aA}?D8K"
)
_SAMPLE_MP4 = zlib.decompress(base64.b85decode(_PACKED_MP4))

_IMAGE_SIDE = 16  #: pixels
_TRIANGLE = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
# MPEG-1 layer III, 32 kbit/s, 44.1 kHz, mono: a header, and side information of a frame without sound.
_SILENT_FRAME = b"\xff\xfb\x10\xc4" + bytes(100)
_SILENT_FRAMES = 39  #: about a second


@frozen(kw_only=True)
class OutputFormat:
    """The file format of an output kind.

    :param extension: of the file; it is also the ``outputType`` in responses (contract 4.1).
    :param create: returns the content for a task id.
    """

    extension: str
    create: Callable[[str], bytes]


def task_label(task_id: str) -> str:
    """Return the text that every output of a task contains."""
    return f"rh_async.emulator task {task_id}"


def free_box(task_id: str) -> bytes:
    """Return an MP4 box with the task's label, of a type that players ignore (ISO 14496-12, 8.1.2)."""
    content = task_label(task_id).encode()
    return struct.pack(">I4s", 8 + len(content), b"free") + content


def _create_mp4(task_id: str) -> bytes:
    return _SAMPLE_MP4 + free_box(task_id)


def _create_png(task_id: str) -> bytes:
    """Create a square whose colour depends on the task."""
    colour = zlib.crc32(task_id.encode()).to_bytes(4)[:3]
    pixels = (b"\0" + colour * _IMAGE_SIDE) * _IMAGE_SIDE
    header = struct.pack(">IIBBBBB", _IMAGE_SIDE, _IMAGE_SIDE, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tEXt", b"Comment\0" + task_label(task_id).encode())]
    chunks += [(b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks)


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _create_mp3(task_id: str) -> bytes:
    """Create a second of silence with the task's label as title (ID3v2.3)."""
    title = b"\0" + task_label(task_id).encode()
    frame = struct.pack(">4sIH", b"TIT2", len(title), 0) + title
    size = bytes((len(frame) >> shift) & 0x7F for shift in (21, 14, 7, 0))  # ID3 sizes have seven bits per byte
    return b"ID3\x03\0\0" + size + frame + _SILENT_FRAME * _SILENT_FRAMES


def _create_glb(task_id: str) -> bytes:
    """Create a triangle (glTF 2.0)."""
    scene = {
        "asset": {"version": "2.0", "generator": task_label(task_id)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 0]}
        ],
        "bufferViews": [{"buffer": 0, "byteLength": len(_TRIANGLE)}],
        "buffers": [{"byteLength": len(_TRIANGLE)}],
    }
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)  # chunks start at multiples of four bytes
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(_TRIANGLE), b"BIN\0") + _TRIANGLE
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _create_text(task_id: str) -> bytes:
    return f"A line of text, by {task_label(task_id)}.".encode()


OUTPUT_FORMATS: Mapping[OutputKind, OutputFormat] = MappingProxyType(
    {
        "video": OutputFormat(extension="mp4", create=_create_mp4),
        "image": OutputFormat(extension="png", create=_create_png),
        "audio": OutputFormat(extension="mp3", create=_create_mp3),
        "3d": OutputFormat(extension="glb", create=_create_glb),
        "text": OutputFormat(extension="txt", create=_create_text),
    }
)
