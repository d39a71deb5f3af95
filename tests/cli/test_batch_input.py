"""Bad input to ``rh-async batch``: one clear line each, the documented exit code, nothing sent, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from rh_async._cli import run
from rh_async.emulator import Emulator
from tests.batch.makers import animate, cut, film, paint, record
from tests.cli.conftest import Ended, Shell

pytestmark = pytest.mark.quick

LONG_NAME = "n" * 300 + ".mp4"
CSV = "image,video,prompt\nhero.png,good.mp4,one\n"


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good media and bad, named for what they are."""
    folder = tmp_path_factory.mktemp("inputs")
    paint(folder / "hero.png")
    film(folder / "good.mp4")
    (folder / "zero.mp4").touch()
    (folder / "text.mp4").write_text("This is no video.\n" * 20)
    cut(folder / "cut.mp4", film(folder / "whole.mp4", seconds=20, options={"movflags": "faststart"}), 0.6)
    record(folder / "sound.mp4")
    film(folder / "half.mp4", seconds=0.5, rate=10)
    film(folder / "long.mp4", seconds=45, rate=1)
    film(folder / "8k.mp4", size=(7680, 4320), rate=1)
    film(folder / "tall.mp4", size=(400, 1600))
    paint(folder / "tall.png", size=(400, 1600))
    paint(folder / "alpha.png", mode="RGBA")
    paint(folder / "print.jpg", mode="CMYK")
    animate(folder / "moving.webp")
    (folder / "circle.mp4").symlink_to("circle.mp4")
    (folder / "empty").mkdir()
    (folder / "odd").mkdir()
    (folder / "odd" / os.fsdecode(b"caf\xe9.mp4")).write_bytes((folder / "good.mp4").read_bytes())
    return folder


@pytest.fixture
def there(media: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands are typed."""
    monkeypatch.chdir(media)
    return media


def nothing_was_sent(site: Emulator) -> bool:
    """Whether the server has seen nothing at all."""
    return not (site.ledger.submissions or site.ledger.uploads or site.ledger.calls or site.ledger.tasks)


def written(manifest: str, text: str) -> None:
    """A manifest that says this."""
    Path(manifest).write_bytes(text.encode())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("empty --image hero.png", "empty: no clips in this folder"),
        ("nowhere --image hero.png", "nowhere: does not exist"),
        ("'*.mkv' --image hero.png", "*.mkv: matches no clips"),
        ("zero.mp4 --image hero.png", "zero.mp4: has zero bytes"),
        ("text.mp4 --image hero.png", "text.mp4: is no video"),
        ("cut.mp4 --image hero.png", "cut.mp4: breaks off after"),
        ("sound.mp4 --image hero.png", "sound.mp4: has sound only"),
        ("half.mp4 --image hero.png", "half.mp4: lasts 0.50 s"),
        ("long.mp4 --image hero.png", "long.mp4: lasts 45.00 s"),
        ("whole.mp4 --image hero.png --orientation image", "whole.mp4: lasts 20.00 s"),
        ("8k.mp4 --image hero.png", "8k.mp4: has 7680 × 4320 px"),
        ("good.mp4 --image tall.png", "tall.png: is 0.25 times as wide as high"),
        ("good.mp4 --image moving.webp", "moving.webp: is an animated webp"),
        ("circle.mp4 --image hero.png", "circle.mp4: cannot be read"),
        (f"{LONG_NAME} --image hero.png", "File name too long"),
        ("hero.png --image good.mp4", "is png by content"),
        ("good.mp4 zero.mp4 --image hero.png", "refused   empty file: 1"),
        ("good.mp4 --image hero.png --image tall.png", "there are 2 images, and one is wanted"),
        ("good.mp4 --image hero.png --pair name", "hero.png: has no clip of the same name"),
    ],
)
async def test_a_bad_input_is_reported_in_a_line_and_nothing_is_sent(
    line: str, message: str, there: Path, site: Emulator, shell: Shell, tmp_path: Path
) -> None:
    ended = await shell(f"batch {line} -o {tmp_path / 'out'}")
    assert ended.code == 2
    assert message in ended.out
    assert ended.err.startswith("rh-async: ")
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert nothing_was_sent(site)


async def test_a_file_that_may_not_be_read_is_named(
    there: Path, site: Emulator, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening: Callable[..., object] = Path.open

    def refuse(path: Path, *args: object, **kwargs: object) -> object:
        if path.name == "good.mp4":
            raise PermissionError(13, "Permission denied")
        return opening(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)  # to root, no file is closed
    ended = await shell("batch good.mp4 --image hero.png")
    assert ended.code == 2
    assert "good.mp4: may not be read (permission denied). Allow reading it" in ended.out
    assert nothing_was_sent(site)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("good.mp4 --image alpha.png", "alpha.png: has transparent parts"),
        ("good.mp4 --image print.jpg", "CMYK"),
        ("odd --image hero.png", r"caf\xe9.mp4: "),
        ("tall.mp4 --image hero.png", "plan      1 job, 1 ready\n"),
    ],
)
async def test_a_warning_is_printed_and_stops_nothing(
    line: str, message: str, there: Path, site: Emulator, shell: Shell
) -> None:
    ended = await shell(f"batch {line} --check")
    assert ended.code == 0
    assert message in ended.out
    assert ended.err == ""
    assert nothing_was_sent(site)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("unknown.csv", "image,video,promt\nhero.png,good.mp4,x\n", "unknown.csv:2, column promt: "),
        ("missing.csv", "image,prompt\nhero.png,x\n", "missing.csv:2, column video: is missing"),
        ("ragged.csv", "image,video\nhero.png,good.mp4,x\n", "ragged.csv:2: has 3 cells, the header 2"),
        ("model.csv", "image,video,model\nhero.png,good.mp4,kling-v3\n", "Did you mean kling"),
        ("empty.csv", "", "empty.csv: has no header"),
        ("rows.csv", "image,video\n", "rows.csv: has no rows"),
        ("broken.jsonl", '{"image": \n', "broken.jsonl:1: is no JSON"),
        ("broken.toml", "[[job]\n", "broken.toml: is no TOML"),
        ("sheet.xlsx", "PK", "sheet.xlsx: is no manifest by its suffix"),
        ("sheet.pdf", "PK", "Give a .csv, .tsv, .jsonl or .toml"),
        ("zero.csv", "image,video\nhero.png,zero.mp4\n", "zero.mp4: has zero bytes"),
    ],
)
async def test_a_bad_manifest_is_reported_by_line_and_column(
    name: str, text: str, message: str, there: Path, site: Emulator, shell: Shell
) -> None:
    written(name, text)
    ended = await shell(f"batch --manifest {name}")
    assert ended.code == 2
    assert message in ended.out
    assert ended.err.count("\n") == 1
    assert nothing_was_sent(site)


@pytest.mark.parametrize(
    "text",
    [CSV, f"\ufeff{CSV}", CSV.replace("\n", "\r\n"), CSV.replace(",", ";")],
    ids=["plain", "byte order mark", "CRLF", "semicolons"],
)
async def test_a_manifest_saved_by_a_spreadsheet_is_read(text: str, there: Path, site: Emulator, shell: Shell) -> None:
    written("sheet.csv", text)
    ended = await shell("batch --manifest sheet.csv --check")
    assert ended.code == 0
    assert "plan      1 job, 1 ready\n" in ended.out
    assert nothing_was_sent(site)


async def test_equal_rows_are_reported_as_one_job_to_submit(there: Path, site: Emulator, shell: Shell) -> None:
    written("twice.csv", f"{CSV}hero.png,good.mp4,one\n")
    ended = await shell("batch --manifest twice.csv --check --json")
    (line,) = ended.out.splitlines()
    plan = json.loads(line)
    assert (plan["jobs"], plan["ready"], plan["unique"], plan["warnings"][0]["rule"]) == (2, 2, 1, "duplicate")
    assert "2 jobs, 2 ready, 1 to submit (1 duplicate)" in ended.err
    assert nothing_was_sent(site)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "there are no clips: rh-async batch clips/ --image hero.png"),
        ("good.mp4", "there is no character image: rh-async batch good.mp4 --image"),
        ("good.mp4 --manifest x.csv", "from CLIPS or from --manifest, not from both"),
        ("--manifest x.csv --pair zip", "no --pair or --recursive"),
        ("good.mp4 --image http://h/i.png", "links belong into a manifest"),
        ("good.mp4 --image hero.png --model kling-v3", "--model: 'kling-v3' is no model. Did you mean kling-v3.0-std?"),
        ("good.mp4 --image hero.png --model wan2.2 --prompt x", "wan2.2 does not take --prompt"),
        ("good.mp4 --image hero.png --model kling-v2.6-std --element 5", "does not take --element"),
        ("good.mp4 --image hero.png --field a=b", "--field is for other endpoints"),
        (
            "good.mp4 --image hero.png --model any/thing",
            "the catalogue does not say which field of any/thing takes the image",
        ),
        ("good.mp4 --image hero.png --model any/thing --prompt x", "takes its options as --field name=value"),
        ("good.mp4 --image hero.png --model any/thing --field x", "--field 'x' is not name=value"),
        ("good.mp4 --image hero.png --model any/thing --field x=1 --field x=2", "a --field is given twice"),
        ("good.mp4 --image hero.png --budget nan", '"nan" is no amount of money above 0'),
        ("good.mp4 --image hero.png --budget -1", '"-1" is no amount of money above 0'),
        ("good.mp4 --image hero.png --in-flight 0", '"0" is neither auto nor a whole number'),
        ("good.mp4 --image hero.png --limit 0", 'Invalid value "0" for --limit'),
        ("good.mp4 --image hero.png --naming {clips}.mp4", "knows no {clips}. Use {clip}"),
        ("good.mp4 --image hero.png --no-journal --retry-failed", "--retry-failed is about the journal"),
        ("good.mp4 --image hero.png --nonsense", "Unknown option: --nonsense"),
        ("good.mp4 --image hero.png --base-url ftp://x", "the base url must look like"),
        ("good.mp4 --image hero.png -o hero.png/out", "--out hero.png/out cannot be written: Not a directory"),
        ("good.mp4 --image hero.png -o o\udcff", "has a name that is not UTF-8"),
    ],
)
async def test_a_bad_option_is_rejected_in_one_line(
    line: str, message: str, there: Path, site: Emulator, shell: Shell
) -> None:
    ended = await shell(f"batch {line}")
    assert ended.code == 2
    assert ended.err.startswith("rh-async: ")
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert nothing_was_sent(site)


Typed = Callable[[str], Ended]


@pytest.fixture
def typed(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type commands where there is a clip, an image and no server."""
    for name in ("hero.png", "good.mp4", "zero.mp4"):
        (tmp_path / name).symlink_to(there / name)
    monkeypatch.chdir(tmp_path)

    def type_(line: str) -> Ended:
        return Ended(run(line.split()), *capsys.readouterr())

    return type_


def test_options_come_from_the_command_line_then_the_environment_then_the_file(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("rh-async.toml", '[batch]\nclips = ["good.mp4", "zero.mp4"]\nimage = "hero.png"\nlimit = 2\n')
    assert "plan      2 jobs" in typed("batch --check").out
    monkeypatch.setenv("RH_ASYNC_BATCH_LIMIT", "1")
    assert "plan      1 job, 1 ready" in typed("batch --check").out
    assert "plan      2 jobs" in typed("batch --check --limit 9").out


def test_a_settings_file_of_any_name_is_read_with_config(typed: Typed) -> None:
    written("night.toml", '[batch]\nimage = "hero.png"\nmodel = "wan2.2"\n')
    assert typed("batch good.mp4 --check").code == 2
    assert typed("batch good.mp4 --check --config night.toml").code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[batch\n", "--config rh-async.toml is no TOML"),
        ('[batch]\nlimit = "x"\n', "rh-async.toml"),
        ("[batch]\nlimitt = 3\n", "[limitt]"),
        ("batch = 3\n", "[batch]"),
    ],
)
def test_a_bad_settings_file_is_rejected_in_one_line(typed: Typed, text: str, message: str) -> None:
    written("rh-async.toml", text)
    ended = typed("batch good.mp4 --image hero.png --check")
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(("text", "message"), [(None, "cannot be read"), ("[other]\n", "has no [batch] table")])
def test_a_given_settings_file_must_have_a_table_for_the_command(typed: Typed, text: str | None, message: str) -> None:
    if text is not None:
        written("night.toml", text)
    ended = typed("batch good.mp4 --image hero.png --check --config night.toml")
    assert ended.code == 2
    assert message in ended.err


def test_planning_needs_no_api_key(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNNINGHUB_API_KEY", raising=False)
    monkeypatch.delenv("RH_API_KEY", raising=False)
    assert typed("batch good.mp4 --image hero.png --check").code == 0
    ended = typed("batch good.mp4 --image hero.png")
    assert ended.code == 2
    assert "there is no API key" in ended.err


@pytest.mark.parametrize("missing", ["av", "PIL"])
def test_without_the_media_extra_one_line_says_what_to_install(
    missing: str, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    ended = typed("batch good.mp4 --image hero.png --check")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith("pip install 'rh-async[cli,media]'\n")


@pytest.mark.processes
def test_help_loads_neither_media_libraries_nor_the_batch() -> None:
    code = (
        "import sys; from rh_async.__main__ import main; main(['--help'])\n"
        "print([name for name in sys.modules if name.partition('.')[0] in {'av', 'PIL'} or '_batch.' in name])"
    )
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert child.stdout.splitlines()[-1] == "[]"


@pytest.mark.processes
def test_warnings_of_the_image_library_are_not_printed(there: Path, tmp_path: Path) -> None:
    Image.new("L", (12_000, 9_000)).save(tmp_path / "large.jpg", quality=5)
    Image.new("RGB", (480, 640)).save(tmp_path / "odd.jpg", exif=b"Exif\0\0II*\0" + b"\xff" * 40)
    tiff = paint(tmp_path / "odd.tiff").read_bytes()
    samples = tiff.index((277).to_bytes(2, "little") + (3).to_bytes(2, "little")) + 8
    (tmp_path / "odd.tiff").write_bytes(tiff[:samples] + (771).to_bytes(2, "little") + tiff[samples + 2 :])
    line = ["batch", "good.mp4", "--image", str(tmp_path), "--pair", "product", "--check", "--no-journal"]
    child = subprocess.run([sys.executable, "-m", "rh_async", *line], check=False, capture_output=True, text=True)  # noqa: S603 - ours
    assert (child.returncode, child.stderr) == (2, "")
    assert "plan      3 jobs, 2 ready, 1 refused\n" in child.stdout
