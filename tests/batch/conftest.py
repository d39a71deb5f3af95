"""Media for every test of this folder, made once: a character, a few clips, and all that can be wrong with either."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.batch.makers import animate, cut, film, paint, picture_of_noise, record


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of media, named for what they are."""
    folder = tmp_path_factory.mktemp("media")
    paint(folder / "hero.png")
    for number in (1, 2, 10):
        film(folder / f"clip{number}.mp4", seconds=3.2 if number == 2 else 3)
    _broken(folder)
    film(folder / "half.mp4", seconds=0.5, rate=10)
    film(folder / "long.mp4", seconds=45, rate=1)
    film(folder / "twelve.mp4", seconds=12, rate=1)
    film(folder / "8k.mp4", size=(7680, 4320), rate=1)
    film(folder / "tall.mp4", size=(400, 1600))
    paint(folder / "tall.png", size=(400, 1600))
    paint(folder / "alpha.png", mode="RGBA")
    paint(folder / "print.jpg", mode="CMYK")
    animate(folder / "moving.webp")
    return folder


def _broken(folder: Path) -> None:
    (folder / "zero.mp4").touch()
    (folder / "zero.png").touch()
    (folder / "text.mp4").write_text("This is no video.\n" * 20)
    (folder / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:3,\nclip1.mp4\n")
    (folder / "folder.mp4").mkdir()
    cut(folder / "no-index.mp4", folder / "clip1.mp4", 0.6)
    begins_with_index = film(folder / "index-first.mp4", seconds=20, options={"movflags": "faststart"})
    cut(folder / "cut.mp4", begins_with_index, 0.6)
    cut(folder / "cut.png", picture_of_noise(folder / "noise.png"), 0.5)
    record(folder / "sound.mp4")
    (folder / "circle.mp4").symlink_to("circle.mp4")


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips and three characters, no two alike."""
    folder = tmp_path_factory.mktemp("stock")
    for number in range(3):
        film(folder / f"clip{number}.mp4", seconds=3 + number, size=(480, 640))
        paint(folder / f"hero{number}.png", size=(480 + number, 640))
    return folder
