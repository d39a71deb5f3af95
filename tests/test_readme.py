"""Every block of the README is true: its programs run against the emulator, its commands are those that CI runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rh_async.emulator import Emulator
from tests.media import draw_image, film_video

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the README's programs expect it."""
    (tmp_path / "clips").mkdir()
    draw_image(tmp_path / "hero.png", size=(480, 640))
    film_video(tmp_path / "clips" / "dance.mp4")
    film_video(tmp_path / "clips" / "jump.mp4", shade=200)
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_the_program_turns_a_folder_of_clips_into_videos(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program, last = PROGRAMS[0].rstrip().rsplit("\n", 1)
    assert last == "asyncio.run(main())"
    async with Emulator(seed=1) as server:
        monkeypatch.setenv("RUNNINGHUB_API_KEY", server.api_key)
        monkeypatch.setenv("RUNNINGHUB_BASE_URL", server.url)
        await _namespace(program)["main"]()
    tasks = server.ledger.tasks
    assert {path.name for path in (desk / "out").iterdir()} == {f"{task.task_id}_0.mp4" for task in tasks}
    assert len(tasks) == len(capsys.readouterr().out.splitlines()) == 2


async def test_the_test_of_ones_own_code_passes(desk: Path) -> None:
    names = _namespace(PROGRAMS[1])
    await names["test_my_pipeline"]()
    assert len(PROGRAMS) == 2


def _namespace(program: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(program, "README.md", "exec"), names)  # noqa: S102 - our own README
    return names


def test_there_are_exactly_two_commands_and_ci_runs_the_second() -> None:
    demo, tests = (command.strip() for command in COMMANDS)
    assert demo == "python3 -m pip install uv && python3 -m uv run rh-async demo"
    assert tests == "python3 -m pip install uv && python3 -m uv run pytest"
    assert tests in (ROOT / ".ci" / "run").read_text().splitlines()


def test_every_promise_about_money_names_a_test_that_exists() -> None:
    table = README.partition("## What happens to my money")[2].partition("\n## ")[0]
    named = re.findall(r"`(test_\w+)`", table)
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) == len(set(named)) == table.count("\n| ") - 2 == 11
    assert [name for name in named if f"def {name}(" not in sources] == []
