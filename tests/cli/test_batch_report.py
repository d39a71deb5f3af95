"""The refusals of a plan are listed in full: as an event, in a report file, and counted by rule in the text."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from rh_async._batch.manifest.column_help import known_columns
from rh_async._cli import run
from rh_async._cli.options.manifest_columns import explain_columns
from rh_async.emulator import Emulator
from rh_async.models.registry import DEFAULT_MODEL, all_options
from tests.batch.makers import film, paint
from tests.cli.conftest import Shell

MANY = 40


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip, a character, and a manifest most of whose rows are refused, each for a file of its own."""
    folder = tmp_path_factory.mktemp("report")
    film(folder / "good.mp4")
    paint(folder / "hero.png")
    paint(folder / "glass.png", mode="RGBA")
    rows = "".join(f"k{number},hero.png,gone{number}.mp4\n" for number in range(MANY))
    (folder / "jobs.csv").write_text(f"key,image,video\nlast,glass.png,good.mp4\n{rows}")
    return folder


@pytest.fixture
def there(stock: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands are typed."""
    monkeypatch.chdir(stock)
    return stock


def gone(issues: list[dict[str, Any]]) -> set[str]:
    """Which clips are told to be missing."""
    return {Path(str(one["subject"])).name for one in issues if one["rule"] == "no such file"}


EVERY = {f"gone{number}.mp4" for number in range(MANY)}


async def test_every_refusal_is_in_the_plan_for_a_program(there: Path, site: Emulator, shell: Shell) -> None:
    ended = await shell("batch --manifest jobs.csv --check --json")
    (line,) = ended.out.splitlines()
    plan = json.loads(line)
    assert ended.code == 2
    assert (plan["event"], plan["jobs"], plan["ready"], plan["refused"]) == ("plan", MANY + 1, 1, MANY)
    assert gone(plan["issues"]) == EVERY
    (first,) = (one for one in plan["issues"] if one["key"] == "k0")
    assert (first["refused"], first["number"], first["line"], first["hint"]) == (True, 2, 3, "Correct the path")
    assert first["clip"].endswith("gone0.mp4")
    assert [one["rule"] for one in plan["issues"] if not one["refused"]] == ["transparency"]
    (group,) = plan["refusals"]
    assert (group["rule"], group["count"], group["distinct"], len(group["examples"])) == ("no such file", MANY, MANY, 3)


async def test_the_plan_says_how_many_more_refusals_there_are_and_where_to_find_them(
    there: Path, site: Emulator, shell: Shell
) -> None:
    ended = await shell("batch --manifest jobs.csv --check")
    assert f"            and {MANY - 3} more\n" in ended.out
    assert "all of them: --report FILE.txt (or .csv, .json), or --check --json\n" in ended.out
    assert "report  " not in ended.out


async def test_a_warning_about_one_file_of_many_jobs_is_printed_once(there: Path, site: Emulator, shell: Shell) -> None:
    rows = "".join(f"glass.png,good.mp4,{number}\n" for number in range(9))
    (there / "same.csv").write_text(f"image,video,prompt\n{rows}")
    ended = await shell("batch --manifest same.csv --check")
    assert "transparency: 9\n" in ended.out
    assert " more\n" not in ended.out
    assert "--report" not in ended.out


@pytest.mark.parametrize("name", ["report.txt", "report.csv", "report.json"])
async def test_every_refusal_is_in_the_report_file_with_and_without_check(
    name: str, there: Path, site: Emulator, shell: Shell, tmp_path: Path
) -> None:
    file, text = tmp_path / name, ""
    for check in ("--check ", ""):
        file.unlink(missing_ok=True)
        ended = await shell(f"batch --manifest jobs.csv {check}--report {file} -o {tmp_path / 'out'}")
        assert ended.code == 2
        assert f"report    {file}: {MANY} refusals and 1 warning, all of them\n" in ended.out
        text = file.read_text(encoding="utf-8-sig")
        assert all(f"{clip}: does not exist" in text or f"{clip},does not exist" in text or name == "report.json"
                   for clip in EVERY)  # fmt: skip
    if name == "report.csv":
        assert gone(list(csv.DictReader(io.StringIO(text)))) == EVERY
    if name == "report.json":
        assert gone(json.loads(text)["issues"]) == EVERY
    assert not site.ledger.submissions
    again = await shell(f"batch --manifest jobs.csv --check --report {file}")
    assert "all of them\n" in again.out  # its own report is written anew


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("jobs.csv", "is there and is no report of a plan: name another file"),
        ("hero.png", "is no .txt, .csv or .json file"),
        ("nowhere/r.txt", "cannot be written: No such file or directory"),
    ],
)
async def test_a_report_overwrites_reports_only(
    name: str, message: str, there: Path, site: Emulator, shell: Shell
) -> None:
    before = (there / name).read_bytes() if (there / name).exists() else None
    ended = await shell(f"batch --manifest jobs.csv --check --report {name}")
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert ((there / name).read_bytes() if (there / name).exists() else None) == before


async def test_the_columns_of_a_manifest_are_explained_without_a_manifest_and_without_an_api_key(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNNINGHUB_API_KEY", raising=False)
    ended = await shell("batch --manifest-columns")
    assert (ended.code, ended.err) == (0, "")
    for name in (*all_options(), "model", "key"):
        assert f"\n  {name} " in ended.out
    assert "(kling-v3.0 only)" in ended.out
    endpoint = await shell("batch --manifest-columns --model alibaba/happyhorse-1.0/image-to-video")
    assert "\n  imageUrl     required; a path or a link: image\n" in endpoint.out
    assert "one of 720p, 1080p" in endpoint.out
    unknown = await shell("batch --manifest-columns --model no/thing")
    assert (unknown.code, unknown.err.count("\n")) == (2, 1)


async def test_the_columns_of_a_model_are_those_that_it_takes(shell: Shell) -> None:
    ended = await shell("batch --manifest-columns --model dreamactor-v2")
    columns = set(re.findall(r"^  (\w+)  ", ended.out, re.MULTILINE))
    assert columns == {"image", "video", "model", "key", "webhook_url"}
    assert "only)" not in ended.out


def test_every_column_that_a_manifest_takes_is_explained() -> None:
    assert {column.name for column in known_columns()} == all_options().keys() | {"model", "key"}
    assert {column.name for column in known_columns() if column.is_required} == {"image", "video"}
    assert len(list(explain_columns(DEFAULT_MODEL))) > len(all_options())


def test_the_help_lists_the_columns_of_a_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["batch", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for column in known_columns():
        assert column.name in words
    assert "--manifest-columns" in words
    assert "Exit code 0 if all of it can be sent, else 2." in words
