"""``rh-async batch`` again with its outputs among its inputs: by the ledger nothing more is submitted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rh_async.emulator import Emulator
from tests.batch.makers import film, paint
from tests.cli.conftest import Shell


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips and a character."""
    folder = tmp_path_factory.mktemp("again")
    for number in range(2):
        film(folder / f"clip{number}.mp4", size=(352 + 16 * number, 352))
    paint(folder / "hero.png", size=(480, 640))
    return folder


@pytest.fixture
def there(stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands are typed: the clips lie there, beside the character."""
    for path in stock.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made_different(folder: Path) -> list[Path]:
    """Let outputs hold other bytes than the clips they were made from, as a model's do."""
    outputs = [path for path in folder.rglob("*.mp4") if path.with_name(f"{path.name}.json").exists()]
    for number, path in enumerate(outputs):
        path.write_bytes(path.read_bytes() + (9).to_bytes(4) + b"free" + bytes([number]))
    return outputs


@pytest.mark.parametrize(
    "line",
    [
        ". --recursive",
        ". --recursive -o results/tonight",
        ". -o .",
        "'*.mp4' -o .",
        "'**/*.mp4' -o out",
        ". --recursive -o . --naming {clip}-{number}.mp4",
    ],
)
async def test_a_run_again_finds_only_the_clips_wherever_its_outputs_are(
    line: str, there: Path, site: Emulator, shell: Shell
) -> None:
    first = await shell(f"batch {line} --image hero.png")
    assert (first.code, len(site.ledger.tasks)) == (0, 2)
    assert len(made_different(there)) == 2
    again = await shell(f"batch {line} --image hero.png")
    assert (again.code, len(site.ledger.tasks)) == (0, 2)
    assert "plan      2 jobs, 2 ready" in again.out
    assert "2 files left out as outputs: 2 " in again.out


async def test_outputs_among_the_given_files_are_left_out_with_a_warning(
    there: Path, site: Emulator, shell: Shell
) -> None:
    await shell("batch clip0.mp4 clip1.mp4 --image hero.png -o .")
    names = " ".join(path.name for path in sorted(there.glob("*.mp4")))  # as a shell spells out *.mp4
    made_different(there)
    again = await shell(f"batch {names} --image hero.png -o .")
    assert (again.code, len(site.ledger.tasks)) == (0, 2)
    assert again.out.count("2 files left out as outputs: 2 made by an earlier run. --include-outputs") == 1


async def test_outputs_in_another_folder_are_recognised_by_their_sidecars(
    there: Path, site: Emulator, shell: Shell
) -> None:
    await shell("batch . --image hero.png -o one")
    made_different(there)
    again = await shell("batch . --recursive --image hero.png -o two")
    assert (again.code, len(site.ledger.tasks)) == (0, 2)


async def test_outputs_without_sidecars_are_recognised_by_the_results_log(
    there: Path, site: Emulator, shell: Shell
) -> None:
    await shell("batch . --image hero.png -o .")
    made_different(there)
    for story in there.glob("*.mp4.json"):
        story.unlink()
    again = await shell("batch . --image hero.png -o . --no-journal --check")
    assert "plan      2 jobs, 2 ready" in again.out
    (there / "batch.jsonl").unlink()
    assert "plan      2 jobs" in (await shell("batch . --image hero.png -o . --check")).out  # the journal knows them


async def test_names_with_unprintable_characters_take_one_line_each(there: Path, site: Emulator, shell: Shell) -> None:
    (there / "odd").mkdir()
    names = [
        b"new\nline",
        b"esc\x1b[31m",
        b"caf\xe9",
        "\u202ertl".encode(),
        b" space ",
        b"-dash",
        b"[b]",
        b"a*b",
        b"\t",
    ]
    for number, name in enumerate(names):
        data = (there / "clip0.mp4").read_bytes() + (9).to_bytes(4) + b"free" + bytes([number])
        Path(os.fsdecode(os.fsencode(there / "odd") + b"/" + name + b".mp4")).write_bytes(data)
    plan = await shell("batch odd --image hero.png --check")
    assert r"odd/caf\xe9.mp4: has a name that is not UTF-8" in plan.out
    ended = await shell("batch odd --image hero.png")
    assert (ended.code, len(site.ledger.tasks)) == (0, len(names))
    assert len(list((there / "out").glob("*.mp4"))) == len(names)
    assert len([line for line in ended.err.splitlines() if "  saved " in line]) == len(names)
    assert all(sign.isprintable() or sign == "\n" for sign in ended.out + ended.err)
    again = await shell("batch odd --image hero.png")
    assert (again.code, len(site.ledger.tasks)) == (0, len(names))


async def test_an_output_that_a_killed_run_left_without_a_sidecar_is_recognised_by_its_task_id(
    there: Path, site: Emulator, shell: Shell
) -> None:
    await shell("batch clip0.mp4 --image hero.png -o .")
    (output,) = made_different(there)
    left = output.rename(output.with_name(f"copy of {output.name}"))  # neither journal nor lines know it by this name
    assert left.exists()
    again = await shell("batch . --image hero.png -o . --check")
    assert "plan      2 jobs, 2 ready" in again.out
    assert "1 file left out as outputs: 1 made by an earlier run" in again.out


async def test_outputs_are_inputs_with_include_outputs(there: Path, site: Emulator, shell: Shell) -> None:
    await shell("batch . --image hero.png -o .")
    made_different(there)
    ended = await shell("batch . --image hero.png -o . --include-outputs")
    assert (ended.code, len(site.ledger.tasks)) == (0, 4)


async def test_a_folder_of_outputs_only_sends_nothing_and_says_why(there: Path, site: Emulator, shell: Shell) -> None:
    await shell("batch . --image hero.png")
    made_different(there)
    ended = await shell("batch out --image hero.png -o further")
    assert (ended.code, len(site.ledger.tasks)) == (2, 2)
    assert "2 files left out as outputs: 2 made by an earlier run" in ended.out
    assert "there is nothing that can be sent" in ended.err
