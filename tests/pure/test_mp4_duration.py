"""The duration of a video from its own header: of real files, and of malformed ones."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rh_async._media.mp4 import duration
from tests.media import film_video


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def long_box(kind: bytes, content: bytes = b"") -> bytes:
    """Make a box with a 64-bit size."""
    return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content


def last_box(kind: bytes, content: bytes = b"") -> bytes:
    """Make a box that extends to the end of the file."""
    return struct.pack(">I4s", 0, kind) + content


def mvhd(*, scale: int = 1000, ticks: int = 12_500, version: int = 0) -> bytes:
    times = struct.pack(">QQIQ" if version else ">IIII", 0, 0, scale, ticks)
    return box(b"mvhd", bytes([version, 0, 0, 0]) + times + bytes(80))


def duration_of(raw: bytes) -> float | None:
    return duration(io.BytesIO(raw))


FTYP = box(b"ftyp", b"isom0000")


@pytest.mark.parametrize("kind", ["mp4", "mov"])
@pytest.mark.parametrize("seconds", [1, 3, 7])
def test_the_duration_of_a_real_video_is_read(tmp_path: Path, kind: str, seconds: int) -> None:
    path = film_video(tmp_path / f"clip.{kind}", seconds=seconds)
    with path.open("rb") as file:
        file.seek(100)  # wherever others have left it
        assert duration(file) == pytest.approx(seconds, abs=0.25)


def test_a_cut_video_gives_no_duration_or_the_right_one(tmp_path: Path) -> None:
    whole = film_video(tmp_path / "clip.mp4", seconds=2).read_bytes()
    assert duration_of(whole) == pytest.approx(2, abs=0.25)
    answers = {duration_of(whole[:size]) for size in range(0, len(whole), 7)}
    assert answers <= {None, duration_of(whole)}
    assert None in answers


@pytest.mark.parametrize("version", [0, 1])
def test_both_versions_of_the_header_are_read(version: int) -> None:
    assert duration_of(FTYP + box(b"moov", mvhd(version=version))) == 12.5


def test_a_64_bit_header_may_hold_more_ticks_than_a_32_bit_one() -> None:
    assert duration_of(FTYP + box(b"moov", mvhd(scale=90_000, ticks=90_000 * 100_000, version=1))) == 100_000


@pytest.mark.parametrize("wrap", [box, long_box, last_box])
def test_the_movie_box_is_found_however_its_size_is_encoded(wrap: object) -> None:
    assert callable(wrap)
    assert duration_of(FTYP + wrap(b"moov", mvhd())) == 12.5


@pytest.mark.parametrize("wrap", [box, long_box])
def test_the_movie_box_may_come_after_the_data(wrap: object) -> None:
    assert callable(wrap)
    assert duration_of(FTYP + wrap(b"mdat", bytes(5000)) + box(b"moov", box(b"iods", bytes(9)) + mvhd())) == 12.5


def test_no_duration_is_read_behind_data_that_extends_to_the_end() -> None:
    assert duration_of(FTYP + last_box(b"mdat", box(b"moov", mvhd()))) is None


@pytest.mark.parametrize(("version", "ticks"), [(0, 2**32 - 1), (1, 2**64 - 1)])
def test_a_header_with_an_unknown_duration_gives_none(version: int, ticks: int) -> None:
    assert duration_of(FTYP + box(b"moov", mvhd(version=version, ticks=ticks))) is None
    assert duration_of(FTYP + box(b"moov", mvhd(version=version, ticks=ticks - 1))) == (ticks - 1) / 1000


def test_a_movie_header_outside_its_box_gives_none() -> None:
    assert duration_of(FTYP + box(b"moov", box(b"trak", bytes(20))) + mvhd()) is None


@pytest.mark.parametrize(
    "nothing",
    [
        b"",
        b"\0\0\0",
        b"GIF89a" + bytes(100),
        FTYP,
        FTYP + box(b"moov"),
        FTYP + box(b"moov", box(b"mvhd")),
        FTYP + box(b"moov", mvhd(scale=0)),
        FTYP + box(b"moov", mvhd(ticks=0)),
        FTYP + box(b"moov", mvhd()[:20]),
    ],
    ids=["empty", "short", "picture", "no movie", "empty movie", "empty header", "no scale", "no ticks", "cut"],
)
def test_unreadable_bytes_give_none(nothing: bytes) -> None:
    assert duration_of(nothing) is None


@pytest.mark.parametrize("size", [2**63 - 1, 2**63, 2**64 - 1, 1])
def test_nothing_is_searched_behind_a_box_of_an_impossible_size(tmp_path: Path, size: int) -> None:
    raw = FTYP + struct.pack(">I4sQ", 1, b"free", size) + box(b"moov", mvhd())
    path = tmp_path / "clip.mp4"
    path.write_bytes(raw)
    with path.open("rb") as file:
        assert duration(file) == duration_of(raw) is None


def test_a_file_of_ten_thousand_small_boxes_is_not_searched() -> None:
    assert duration_of(box(b"free") * 10_000 + box(b"moov", mvhd())) is None


pieces = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([FTYP, mvhd(), mvhd(version=1), box(b"moov", mvhd()), last_box(b"moov"), box(b"moov")[:6]]),
    st.builds(
        lambda size, kind, long: struct.pack(">I4sQ", size, kind, long),
        st.sampled_from([0, 1, 7, 8, 16, 2**32 - 1]),
        st.sampled_from([b"moov", b"mvhd", b"free"]),
        st.one_of(st.integers(0, 64), st.integers(0, 2**64 - 1)),
    ),
)


@given(parts=st.lists(pieces, max_size=6))
def test_any_bytes_are_parsed_without_an_error(parts: list[bytes]) -> None:
    seconds = duration_of(b"".join(parts))
    assert seconds is None or seconds > 0
