"""The extension of an output: by the first of type, link, response and bytes that names one."""

from __future__ import annotations

import pytest

from rh_async import Output
from rh_async._media.file_extension import choose_extension, is_page, possible_extensions, stated_extension

MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41"
LINK = "https://cdn.test/1/result?sig=a.png"


@pytest.mark.parametrize(
    ("kind", "url", "content_type", "head", "extension"),
    [
        ("mp4", LINK, "image/png", MP4, "mp4"),
        (".MP4", LINK, "", b"", "mp4"),
        ("video/mp4", LINK, "", b"", "mp4"),
        ("image/jpeg", LINK, "", b"", "jpg"),
        *(
            (word, "https://cdn.test/a.webm?x=1", "video/mp4", MP4, "webm")
            for word in ("video", "", "file", "bin", "3d")
        ),
        ("video", "https://cdn.test/a%2Ewebm", "", MP4, "webm"),
        ("video", "https://cdn.test/a.webm.php", "video/mp4", b"", "mp4"),
        ("video", "https://cdn.test/webm", "video/quicktime", MP4, "mov"),
        ("video", LINK, "application/octet-stream", MP4, "mp4"),
        ("", LINK, "binary/octet-stream", MP4, "mp4"),
        ("3d", LINK, "", b"glTF\x02\0\0\0", "glb"),
        ("audio", LINK, "", b"\xff\xfb\x90\x00", "mp3"),
        ("audio", LINK, "", b"OggS\0", "ogg"),
        ("image", LINK, "", b"\x89PNG\r\n\x1a\n", "png"),
        ("video", LINK, "", b"who knows", "bin"),
        ("../../etc/passwd", "https://cdn.test/a.mp4", "", b"", "mp4"),
        ("m\u202ep4", "https://cdn.test/a.mp4", "", b"", "mp4"),
        ("мр4", "https://cdn.test/a.mp4", "", b"", "mp4"),
        ("x" * 300, "https://cdn.test/a.mp4", "", b"", "mp4"),
        ("mp4\n", LINK, "", b"", "mp4"),
        ("", None, "", b"", "txt"),
        ("string", None, "", b"", "txt"),
        ("json", None, "", b"", "json"),
    ],
)
def test_the_first_source_that_names_an_extension_decides(
    kind: str, url: str | None, content_type: str, head: bytes, extension: str
) -> None:
    output = Output(url=url, type=kind)
    assert choose_extension(output, content_type, head) == extension
    assert extension in possible_extensions(output)


def test_an_extension_known_before_the_download_is_the_only_possible_one() -> None:
    assert possible_extensions(Output(url=LINK, type="mp4")) == ("mp4",)
    assert stated_extension(Output(url=LINK, type="video")) is None


@pytest.mark.parametrize(
    "head",
    [
        b"<!DOCTYPE html><html>",
        b"\xef\xbb\xbf\r\n <html>",
        b"<?xml version='1.0'?><Error>",
        b"<Error><Code>AccessDenied",
        b'{"error": "expired"}',
        b'[{"a":1}]',
        b"{}",
        b"[]",
    ],
)
def test_a_page_is_recognised_by_its_beginning(head: bytes) -> None:
    assert is_page(head)


@pytest.mark.parametrize(
    "head", [b"", MP4, b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"v" * 600, b"[binary\0", b"<\0\0"]
)
def test_media_are_not_recognised_as_a_page(head: bytes) -> None:
    assert not is_page(head)
