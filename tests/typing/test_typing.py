"""What a user's type checkers say: of the README's programs, of the examples, and of the public names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.test_readme import PROGRAMS, ROOT

pytestmark = pytest.mark.processes

EXAMPLES = ("quickstart", "many_clips", "progress", "resume", "web_aiohttp")
_USER_CONFIG = {"typeCheckingMode": "strict", "include": ["."]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's project: the README's blocks and the examples, and no settings of ours."""
    folder = tmp_path_factory.mktemp("project")
    for number, program in enumerate(PROGRAMS):
        (folder / f"readme_{number}.py").write_text(program)
    for name in EXAMPLES:
        (folder / f"{name}.py").write_text((ROOT / "tests" / "examples" / f"{name}.py").read_text())
    (folder / "narrowing.py").write_text(_NARROWING)
    (folder / "pyrightconfig.json").write_text(json.dumps(_USER_CONFIG))
    return folder


# Each assert_type fails the checker if the type is another.
_NARROWING = """
from collections.abc import Sequence
from typing import assert_type

from rh_async import Failed, JobFailed, KlingMotionControl, Outcome, Result, RHError, Session, Succeeded


async def narrow(session: Session, requests: Sequence[KlingMotionControl]) -> None:
    async for outcome in session.map(requests):
        assert_type(outcome, Succeeded[KlingMotionControl] | Failed[KlingMotionControl])
        if outcome.error is None:
            assert_type(outcome.result, Result)
        else:
            assert_type(outcome.error, RHError)
        if isinstance(outcome, Failed):
            assert_type(outcome.error, RHError)
        else:
            assert_type(outcome.result, Result)


def by_hand(outcome: Outcome[KlingMotionControl]) -> str:
    match outcome:
        case Succeeded(result=result):
            return result.task_id
        case Failed(error=JobFailed() as error):
            return error.reason
        case Failed():
            return outcome.request.model
"""


def _run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MYPYPATH": ""}
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_mypy_strict_finds_nothing_in_the_programs_a_user_would_write(project: Path) -> None:
    cache = project.parent / "mypy_cache"
    done = _run(project, "mypy", "--strict", "--config-file=", f"--cache-dir={cache}", ".")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Success: no issues found in 8 source files")


def test_pyright_strict_finds_nothing_in_the_programs_a_user_would_write(project: Path) -> None:
    done = _run(project, "basedpyright", "--outputjson", "--pythonpath", sys.executable)
    report: dict[str, Any] = json.loads(done.stdout)
    assert [found["message"] for found in report["generalDiagnostics"] if found["severity"] == "error"] == []
    assert report["summary"]["filesAnalyzed"] == 8


def test_a_mistake_of_a_user_is_found_by_both(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        "from rh_async import KlingMotionControl, Session\n\n\n"
        "async def main(session: Session) -> None:\n"
        '    async for outcome in session.map([KlingMotionControl("a.png", "b.mp4")]):\n'
        "        print(outcome.result.paths)\n"
        '    KlingMotionControl("a.png", "b.mp4", orientation="left")\n'
    )
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(_USER_CONFIG))
    by_mypy = _run(tmp_path, "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", ".").stdout
    by_pyright = _run(tmp_path, "basedpyright", "--outputjson", "--pythonpath", sys.executable).stdout
    lines = {found["range"]["start"]["line"] + 1 for found in json.loads(by_pyright)["generalDiagnostics"]}
    assert {6, 7} <= lines
    assert "wrong.py:6:" in by_mypy
    assert "wrong.py:7:" in by_mypy


def test_at_least_99_in_100_public_names_have_a_type_that_every_checker_agrees_on(tmp_path: Path) -> None:
    done = _run(tmp_path, "basedpyright", "--verifytypes", "rh_async", "--ignoreexternal", "--outputjson",
                "--pythonpath", sys.executable)  # fmt: skip
    report = json.loads(done.stdout)["typeCompleteness"]
    assert report["completenessScore"] >= 0.99, [
        (symbol["name"], symbol["diagnostics"]) for symbol in report["symbols"] if symbol["diagnostics"]
    ]
    assert report["exportedSymbolCounts"]["withKnownType"] > 200
