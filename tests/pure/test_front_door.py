"""The front door: every name, in order, and nothing is loaded before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import get_args, get_origin

import pytest

import rh_async

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parent.parent.parent
HEAVY = [
    "aiohttp.web",
    "rh_async.emulator",
    "rh_async._cli",
    "sqlite3",
    "av",
    "PIL",
    "rich",
    "cyclopts",
    "platformdirs",
]


def as_ruff_sorts(name: str) -> tuple[int, str]:
    """Constants first, then classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def in_a_fresh_process(code: str) -> str:
    # A coverage measurement may load more into a child process than the program asks for.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    child = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=clean, cwd=ROOT
    )
    return child.stdout


def test_every_public_name_is_listed_once_in_order() -> None:
    assert rh_async.__all__ == sorted(set(rh_async.__all__), key=as_ruff_sorts)


def test_the_list_holds_every_name_the_front_door_brings_in() -> None:
    there = {
        name for name, value in vars(rh_async).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert set(rh_async.__all__) == there | rh_async._LAZY_NAMES.keys()


def test_what_only_batches_need_is_loaded_when_it_is_named() -> None:
    code = """
import sys, rh_async
print({"rh_async.batch", "rh_async._batch"} & sys.modules.keys(), rh_async.batch.Plan.__name__, rh_async.Batch.__name__)
"""
    assert in_a_fresh_process(code).split() == ["set()", "Plan", "Batch"]
    with pytest.raises(AttributeError, match="no attribute 'Plane'"):
        _ = rh_async.Plane


@pytest.mark.parametrize("name", rh_async.__all__)
def test_every_listed_name_can_be_imported_and_says_what_it_is(name: str) -> None:
    value = getattr(rh_async, name)
    assert value is not None
    members = [get_origin(member) for member in get_args(value)]  # of a union, which has no text of its own
    assert isinstance(value, str) or value.__doc__ or (members and all(member.__doc__ for member in members))


def test_importing_the_package_loads_nothing_that_only_some_need() -> None:
    heavy = in_a_fresh_process(f"import sys, rh_async; print([name for name in {HEAVY!r} if name in sys.modules])")
    assert heavy.strip() == "[]"


def test_importing_the_package_starts_no_event_loop_and_no_thread() -> None:
    out = in_a_fresh_process(
        "import rh_async, threading, asyncio; print(threading.active_count(), asyncio._get_running_loop())"
    )
    assert out.split() == ["1", "None"]


def test_only_naming_the_emulator_loads_the_web_server() -> None:
    out = in_a_fresh_process("import sys, rh_async.emulator; print('aiohttp.web' in sys.modules)")
    assert out.strip() == "True"
