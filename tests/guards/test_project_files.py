"""Check the files around the code: commit hooks, the hosted workflow, issue forms, rendered documentation."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pydoc import plain, render_doc
from typing import Any

import pytest

from rh_async import Session
from tests.guards.public_api import MODULES

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
HOOKS = ROOT / ".pre-commit-config.yaml"
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
YAML: Any = import_module("yaml")  # without stubs, for the values are untyped anyway
_FORM_ELEMENTS = frozenset({"markdown", "textarea", "input", "dropdown", "checkboxes"})


def _load(path: Path) -> Any:
    return YAML.safe_load(path.read_text())


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of the dev group in a folder."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(  # noqa: S603 - our own command
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def _jobs() -> Mapping[str, Mapping[str, Any]]:
    jobs: Mapping[str, Mapping[str, Any]] = _load(WORKFLOW)["jobs"]
    return jobs


def _steps() -> Iterator[Mapping[str, Any]]:
    for job in _jobs().values():
        yield from job["steps"]


# --- commit hooks -----------------------------------------------------------------------------------------------------


@pytest.mark.processes
def test_the_hooks_are_valid_and_use_the_tools_of_the_dev_group() -> None:
    done = _run(ROOT, "pre-commit", "validate-config", str(HOOKS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [repo["repo"] for repo in _load(HOOKS)["repos"]] == ["local"]


@pytest.mark.processes
def test_the_commit_hooks_fix_a_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    file = tmp_path / "untidy.py"
    file.write_text("import os\nVALUE = [ 1,2 ]\n")
    hooks = [hook for hook in _load(HOOKS)["repos"][0]["hooks"] if "stages" not in hook]
    assert [hook["id"] for hook in hooks] == ["ruff", "ruff-format"]
    for hook in hooks:
        done = _run(tmp_path, *_tool(hook), file.name)
        assert done.returncode == 0, done.stdout + done.stderr
    assert file.read_text() == "VALUE = [1, 2]\n"


@pytest.mark.processes
def test_types_are_checked_before_a_push() -> None:
    (hook,) = (hook for hook in _load(HOOKS)["repos"][0]["hooks"] if hook.get("stages") == ["pre-push"])
    assert hook["pass_filenames"] is False
    done = _run(ROOT, *_tool(hook), "--version")
    assert done.stdout.startswith("mypy ")


def _tool(hook: Mapping[str, str]) -> list[str]:
    """Return the hook's command without ``uv run``, which only finds the environment that runs this test."""
    runner, run, *command = shlex.split(hook["entry"])
    assert (runner, run) == ("uv", "run")
    return command


# --- the hosted workflow ----------------------------------------------------------------------------------------------


def test_the_workflow_may_only_read_and_keeps_no_credentials() -> None:
    assert _load(WORKFLOW)["permissions"] == {"contents": "read"}
    assert not [name for name, job in _jobs().items() if "permissions" in job]
    checkouts = [step for step in _steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == len(_jobs())
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_every_action_is_pinned_to_a_major_version_and_every_job_ends() -> None:
    used = [step["uses"] for step in _steps() if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"actions/[\w-]+@v\d+", action)] == []
    assert [name for name, job in _jobs().items() if not job["timeout-minutes"] <= 60] == []


def test_the_workflow_tests_every_supported_python_on_both_systems() -> None:
    matrix = _jobs()["tests"]["strategy"]["matrix"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = {found[0] for line in project["classifiers"] if (found := re.findall(r":: (3\.\d+)$", line))}
    assert project["requires-python"] == f">={min(matrix['python'], key=_minor)}"
    assert stated <= set(matrix["python"])
    assert matrix["os"] == ["ubuntu-latest", "macos-latest"]


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


def test_the_workflow_has_every_gate_of_the_local_run() -> None:
    local = set(re.findall(r"^python3 -m uv run (?!pytest).*$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    assert len(local) == 4
    assert local <= {step.get("run") for step in _steps()}


def test_local_and_hosted_ci_test_the_built_wheel_without_the_source_tree() -> None:
    script = ROOT / ".ci" / "wheel"
    assert script.stat().st_mode & 0o111
    assert ".ci/wheel" in (ROOT / ".ci" / "run").read_text().splitlines()
    assert ".ci/wheel -m quick" in {step.get("run") for step in _steps()}


# --- forms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_an_issue_form_has_a_name_a_description_and_labelled_fields(form: Path) -> None:
    content = _load(form)
    assert content["name"]
    assert content["description"]
    assert {element["type"] for element in content["body"]} <= _FORM_ELEMENTS
    asked = [element for element in content["body"] if element["type"] != "markdown"]
    assert len({element["id"] for element in asked}) == len(asked) >= 3
    assert all(element["attributes"]["label"] for element in asked)


def test_there_is_a_form_for_bugs_and_one_for_features() -> None:
    assert [form.stem for form in FORMS] == ["bug", "feature"]


def test_the_source_distribution_holds_the_files_that_its_tests_read() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = set(settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    assert {"/.ci", "/.github", "/.pre-commit-config.yaml", "/SECURITY.md"} <= included


# --- documentation ----------------------------------------------------------------------------------------------------


@pytest.mark.processes
def test_the_documentation_of_the_public_modules_renders_without_a_warning(tmp_path: Path) -> None:
    modules = [name for name in MODULES if find_spec(name) is not None]
    done = _run(tmp_path, sys.executable, "-m", "pdoc", *modules, "--output-directory", str(tmp_path / "docs"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    page = (tmp_path / "docs" / "rh_async.html").read_text()
    assert 'id="Session.with_options"' in page
    assert 'id="plan_folder"' in page  # one of the names that are loaded when they are used


def test_help_shows_every_method_of_a_session_with_its_docstring() -> None:
    """The bases that `Session` is made of are private, and pdoc leaves out what a class inherits from those."""
    members = {name: getattr(Session, name) for name in dir(Session) if name[0] != "_"}
    shown = plain(render_doc(Session))
    assert {"submit", "batch", "price", "recovery"} <= members.keys()
    assert [name for name, member in members.items() if name not in shown or not member.__doc__] == []
    assert [name for name, member in members.items() if member.__doc__.partition("\n")[0] not in shown] == []
