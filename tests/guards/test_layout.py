"""Holds the package to its layout: where modules lie, how large they are, and that CONTRIBUTING.md draws what is."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "rh_async"
MODULES = sorted(path.relative_to(ROOT) for path in PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parent for path in MODULES})
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MOST_LINES = 300
MOST_FILES = 12


def contract(container: str) -> list[set[str]]:
    """The layers of one container that import-linter guards, highest first."""
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    found = next(one for one in contracts if one["type"] == "layers" and one["containers"] == [container])
    assert found["exhaustive"]
    return [set(re.findall(r"\w+", layer)) for layer in found["layers"]]


def drawn() -> list[str]:
    """The packages and modules that CONTRIBUTING.md draws, highest first."""
    picture = CONTRIBUTING.partition("## Where things are")[2].partition("```text\n")[2].partition("```")[0]
    return [line.split()[0] for line in picture.splitlines() if line[:1].strip()]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_is_longer_than_three_hundred_lines(module: Path) -> None:
    lines = (ROOT / module).read_text(encoding="utf-8").count("\n")
    assert lines <= MOST_LINES, f"{module} has {lines} lines: split it by purpose"


def test_no_two_modules_share_a_file_name() -> None:
    names = Counter(path.name for path in MODULES if path.name not in {"__init__.py", "__main__.py"})
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_a_folder_has_one_purpose_said_in_its_docstring_and_at_most_twelve_modules(folder: Path) -> None:
    inside = [path for path in MODULES if path.parent == folder and path.name != "__init__.py"]
    public_top = folder == Path("rh_async")  # public modules, which a user imports by these names
    assert public_top or len(inside) <= MOST_FILES
    first = (ROOT / folder / "__init__.py").read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(r'""".{20,}', first), f"{folder}/__init__.py does not say what the folder is for"


def test_every_package_and_public_module_is_drawn_once() -> None:
    entries = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert sorted(drawn()) == sorted(entries - {"__init__"})


def test_the_layers_that_are_drawn_are_the_layers_that_are_guarded() -> None:
    guarded, place = contract("rh_async"), {name: number for number, name in enumerate(drawn())}
    assert set().union(*guarded) == place.keys() - {"emulator"}
    for upper, lower in pairwise(guarded):
        assert max(place[name] for name in upper) < min(place[name] for name in lower)


def walks() -> dict[str, list[str]]:
    """The modules that each walk of CONTRIBUTING.md names, in their order."""
    text = CONTRIBUTING.partition("## How data flows")[2].partition("\n## ")[0]
    parts = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: re.findall(r"`(\w+(?:/\w+)*\.py)`", part) for part in parts}


@pytest.mark.parametrize(
    ("walk", "most"), [("A clip's path", 20), ("A poll's response", 10), ("A refusal's code", 10)], ids=str
)
def test_a_walk_names_modules_that_exist_and_is_short(walk: str, most: int) -> None:
    modules = walks()[walk]
    assert [name for name in modules if not (PACKAGE / name).is_file()] == []
    assert 3 <= len(set(modules)) <= most
