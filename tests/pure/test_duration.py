"""How long a video lasts, from its own header: told of real files, and of whatever else may be in one."""

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
    """A box whose size is told in 64 bits."""
    return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content


def last_box(kind: bytes, content: bytes = b"") -> bytes:
    """A box that goes on to the end of the file."""
    return struct.pack(">I4s", 0, kind) + content


def mvhd(*, scale: int = 1000, ticks: int = 12_500, version: int = 0) -> bytes:
    times = struct.pack(">QQIQ" if version else ">IIII", 0, 0, scale, ticks)
    return box(b"mvhd", bytes([version, 0, 0, 0]) + times + bytes(80))


def told(raw: bytes) -> float | None:
    return duration(io.BytesIO(raw))


FTYP = box(b"ftyp", b"isom0000")


@pytest.mark.parametrize("kind", ["mp4", "mov"])
@pytest.mark.parametrize("seconds", [1, 3, 7])
def test_a_real_video_says_how_long_it_lasts(tmp_path: Path, kind: str, seconds: int) -> None:
    path = film_video(tmp_path / f"clip.{kind}", seconds=seconds)
    with path.open("rb") as file:
        file.seek(100)  # wherever others have left it
        assert duration(file) == pytest.approx(seconds, abs=0.25)


def test_a_real_video_cut_short_says_nothing_or_the_truth(tmp_path: Path) -> None:
    whole = film_video(tmp_path / "clip.mp4", seconds=2).read_bytes()
    assert told(whole) == pytest.approx(2, abs=0.25)
    answers = {told(whole[:size]) for size in range(0, len(whole), 7)}
    assert answers <= {None, told(whole)}
    assert None in answers


@pytest.mark.parametrize("version", [0, 1])
def test_both_versions_of_the_header_are_read(version: int) -> None:
    assert told(FTYP + box(b"moov", mvhd(version=version))) == 12.5


def test_a_header_with_long_numbers_may_tell_more_ticks_than_short_ones_hold() -> None:
    assert told(FTYP + box(b"moov", mvhd(scale=90_000, ticks=90_000 * 100_000, version=1))) == 100_000


@pytest.mark.parametrize("wrap", [box, long_box, last_box])
def test_the_movie_is_found_however_its_size_is_told(wrap: object) -> None:
    assert callable(wrap)
    assert told(FTYP + wrap(b"moov", mvhd())) == 12.5


@pytest.mark.parametrize("wrap", [box, long_box])
def test_the_movie_may_come_after_the_pictures(wrap: object) -> None:
    assert callable(wrap)
    assert told(FTYP + wrap(b"mdat", bytes(5000)) + box(b"moov", box(b"iods", bytes(9)) + mvhd())) == 12.5


def test_pictures_that_go_on_to_the_end_hide_no_movie() -> None:
    assert told(FTYP + last_box(b"mdat", box(b"moov", mvhd()))) is None


@pytest.mark.parametrize(("version", "ticks"), [(0, 2**32 - 1), (1, 2**64 - 1)])
def test_a_film_whose_header_says_that_nobody_knows_lasts_nobody_knows_how_long(version: int, ticks: int) -> None:
    assert told(FTYP + box(b"moov", mvhd(version=version, ticks=ticks))) is None
    assert told(FTYP + box(b"moov", mvhd(version=version, ticks=ticks - 1))) == (ticks - 1) / 1000


def test_a_header_outside_its_movie_is_none() -> None:
    assert told(FTYP + box(b"moov", box(b"trak", bytes(20))) + mvhd()) is None


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
def test_what_cannot_be_read_is_not_known(nothing: bytes) -> None:
    assert told(nothing) is None


@pytest.mark.parametrize("size", [2**63 - 1, 2**63, 2**64 - 1, 1])
def test_a_box_of_an_impossible_size_is_not_looked_behind(tmp_path: Path, size: int) -> None:
    raw = FTYP + struct.pack(">I4sQ", 1, b"free", size) + box(b"moov", mvhd())
    path = tmp_path / "clip.mp4"
    path.write_bytes(raw)
    with path.open("rb") as file:
        assert duration(file) == told(raw) is None


def test_a_file_of_ten_thousand_small_boxes_is_not_looked_through() -> None:
    assert told(box(b"free") * 10_000 + box(b"moov", mvhd())) is None


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
def test_any_bytes_at_all_are_read_without_a_word(parts: list[bytes]) -> None:
    seconds = told(b"".join(parts))
    assert seconds is None or seconds > 0
