"""What type checkers say of a user's programs: the README, the examples, those beside this; and of the public names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from tests.examples.notebooks import cells_of
from tests.guards.public_api import MODULES, is_private
from tests.test_readme import PROGRAMS, ROOT

pytestmark = pytest.mark.processes

HERE = Path(__file__).parent
_EXAMPLES = ROOT / "tests" / "examples"
_USER_CONFIG = {"typeCheckingMode": "strict", "include": ["."]}


def programs() -> Iterator[tuple[str, str]]:
    """Yield everything that a user would write, as file names and sources."""
    for number, program in enumerate(PROGRAMS):
        yield f"readme_{number}.py", program
    for folder in (_EXAMPLES, HERE):
        for path in sorted(folder.glob("*.py")):
            if path.stem not in {"__init__", "notebooks"} and not path.stem.startswith("test_"):
                yield path.name, path.read_text()
    # A checker reads no notebook: its cells share a name space and may await, like the body of a coroutine.
    body = indent("\n\n".join(cells_of(_EXAMPLES / "notebook.ipynb")), "    ")
    yield "notebook.py", f"async def main() -> None:\n{body}\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's project: programs, and no settings of ours."""
    folder = tmp_path_factory.mktemp("project")
    for name, source in programs():
        (folder / name).write_text(source)
    (folder / "pyrightconfig.json").write_text(json.dumps(_USER_CONFIG))
    return folder


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


def test_every_kind_of_program_is_checked_and_no_name_is_taken_twice() -> None:
    names = [name for name, _ in programs()]
    assert len(names) == len(set(names))
    assert {"readme_1.py", "quickstart.py", "webhook.py", "notebook.py", "outcomes.py", "journal.py"} <= set(names)
    assert sum("assert_type(" in source for _, source in programs()) == 5


def test_mypy_strict_finds_nothing_in_the_programs_a_user_would_write(project: Path) -> None:
    cache = project.parent / "mypy_cache"
    done = _run(project, "mypy", "--strict", "--config-file=", f"--cache-dir={cache}", ".")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"Success: no issues found in {len(list(programs()))} source files")


def test_pyright_strict_finds_nothing_in_the_programs_a_user_would_write(project: Path) -> None:
    done = _run(project, "basedpyright", "--outputjson", "--pythonpath", sys.executable)
    report: dict[str, Any] = json.loads(done.stdout)
    errors = [found for found in report["generalDiagnostics"] if found["severity"] == "error"]
    assert [(Path(found["file"]).name, found["message"]) for found in errors] == []
    assert report["summary"]["filesAnalyzed"] == len(list(programs()))


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
    homes, parts = _homes()
    symbols = [
        symbol
        for symbol in json.loads(done.stdout)["typeCompleteness"]["symbols"]
        if (symbol["isExported"] and (symbol["name"] in homes or symbol["name"].rpartition(".")[0] in homes))
        or symbol["name"].rpartition(".")[0] in parts
    ]
    assert parts <= {symbol["name"].rpartition(".")[0] for symbol in symbols}
    loose = {symbol["name"] for symbol in symbols if symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"]}
    assert len(symbols) > 400
    assert len(loose) <= len(symbols) / 100, loose


def _homes() -> tuple[set[str], set[str]]:
    """Return where each public class and function is defined; modules that only have plain names are no promise.

    The second set holds the private classes that a public class inherits public members from.
    """
    public = [import_module(name) for name in MODULES if find_spec(name) is not None]
    values = [getattr(module, name) for module in public for name in getattr(module, "__all__", vars(module))]
    bases = {base for value in values if isinstance(value, type) for base in value.__mro__ if is_private(base)}
    parts = {_home(base) for base in bases if any(name[0] != "_" for name in vars(base))}
    return {_home(value) for value in values if hasattr(value, "__qualname__")}, parts


def _home(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
