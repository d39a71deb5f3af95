"""A new model is a row of the registry and a request class; manifests, options and plans then take it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

from rh_async._batch.manifest.column_help import known_columns
from rh_async.batch import plan_manifest
from rh_async.models import registry
from rh_async.models.base import MediaValue, Request, check_media, media_value
from rh_async.models.media_limits import MediaLimits
from rh_async.models.registry import ModelSpec
from rh_async.models.request_option import option
from tests.media import draw_image, film_video

ROOT = Path(__file__).parents[2]


@frozen
class MadeUp(Request):
    """Ask a model that does not exist; a file may have 1 KB."""

    image: MediaValue = field(
        converter=media_value, validator=check_media, metadata=option("media", "the character image")
    )
    video: MediaValue = field(
        converter=media_value, validator=check_media, metadata=option("media", "the driving video")
    )
    prompt: str | None = field(default=None, kw_only=True, metadata=option("text", "what to show"))
    strength: int = field(default=5, kw_only=True, metadata=option("integer", "from 1 to 9"))

    @property
    def endpoint(self) -> str:
        return "made-up/v1"

    @property
    def limits(self) -> Mapping[str, MediaLimits]:
        return {"image": MediaLimits(kinds=("png",)), "video": MediaLimits(kinds=("mp4",), seconds=(0, 30))}

    def parameters(self) -> dict[str, Any]:
        return {"image": self.image, "video": self.video, "prompt": self.prompt, "strength": self.strength}


ROW = ModelSpec(alias="made-up", series="made-up", request_class=MadeUp)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("media")
    return draw_image(folder / "hero.png"), film_video(folder / "clip.mp4")


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MODELS", (*registry.MODELS, ROW))


@pytest.mark.usefixtures("made_up")
async def test_a_manifest_reads_and_plans_its_rows(files: tuple[Path, Path], tmp_path: Path) -> None:
    image, video = files
    manifest = tmp_path / "jobs.jsonl"
    rows: list[dict[str, object]] = [
        {"model": "made-up", "image": str(image), "video": str(video), "prompt": "at night", "strength": "7"},
        {"model": "made-up", "image": str(image), "video": str(video), "prompt": "at noon"},
        {"model": "made-up", "image": str(image), "video": str(video), "strenght": 7},
        {"model": "wan2.2", "image": str(image), "video": str(video), "strength": 7},
    ]
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    first, second, misspelt, other = (await plan_manifest(manifest)).entries
    assert first.request == MadeUp(image, video, prompt="at night", strength=7)
    assert second.request == MadeUp(image, video, prompt="at noon")
    assert "Did you mean strength?" in str(misspelt.issues[0])
    assert "wan2.2 takes no such column" in str(other.issues[0])


@pytest.mark.usefixtures("made_up")
def test_its_requests_are_checked_once_whatever_they_say(files: tuple[Path, Path]) -> None:
    requests = [MadeUp(*files, prompt=prompt) for prompt in ("at night", "at noon")]
    assert registry.spec_of(requests[0]) is ROW
    assert len({ROW.assessment_key(request) for request in requests}) == 1


@pytest.mark.usefixtures("made_up")
def test_its_options_are_explained_with_the_models_that_take_them() -> None:
    columns = {column.name: column for column in known_columns()}
    assert (columns["strength"].text, columns["strength"].takers) == ("from 1 to 9", "made-up")
    assert columns["image"].takers == ""


PROGRAM = """
import sys
from rh_async.models import registry
from tests.cli.test_new_model import ROW
registry.MODELS = (*registry.MODELS, ROW)
from rh_async._cli import run
sys.exit(run(sys.argv[1:]))
"""


def shell(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process in which the model has its row from the start."""
    return subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )


def test_the_command_line_plans_jobs_of_it_with_its_options(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out"), "--no-journal", "--check", "--json"]
    image, video = map(str, files)
    inputs = [video, "--image", image, "--model", "made-up"]
    ended = shell("batch", *inputs, "--prompt", "at night", *out)
    assert ended.returncode == 0, ended.stderr
    plan = json.loads(ended.stdout.splitlines()[0])
    assert (plan["ready"], plan["refused"], plan["issues"]) == (1, 0, [])
    refused = shell("batch", *inputs, "--orientation", "image", *out)
    assert refused.returncode == 2
    assert "made-up does not take --orientation (these do: kling-v3.0-std," in refused.stderr


def test_the_help_lists_it_and_says_which_options_are_its_own() -> None:
    words = " ".join(shell("run", "--help").stdout.replace("│", " ").split())
    assert "wan2.2, made-up]" in words
    assert "up to 2,500 characters; kling-v3.0 only." in words
