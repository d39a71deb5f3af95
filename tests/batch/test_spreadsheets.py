"""Manifests as programs write them: what Excel does to a table, what a crash leaves, which columns people add."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from rh_async import KlingMotionControl
from rh_async._batch.planning.path_lookup import strip_invisible
from rh_async.batch import Plan, plan_manifest
from rh_async.emulator import Emulator
from tests.batch.running import lines, run, videos

Form = Literal["NFC", "NFD"]
CSV = "image,video,prompt\nhero.png,clip1.mp4,hop é\n"
TABLES = [
    CSV.encode("utf-16"),
    CSV.replace(",", "\t").encode("utf-16"),
    b"\xfe\xff" + CSV.encode("utf-16-be"),
    CSV.encode("utf-16-le"),
    CSV.encode("utf-16-be"),
    CSV.encode("utf-32"),
    CSV.encode("utf-8-sig"),
    CSV.encode("cp1252"),
    CSV.replace(",", ";").encode("cp1252"),
    f"sep=;\r\n{CSV.replace(',', ';')}".encode(),
    f'"sep=\t"\n{CSV.replace(",", chr(9))}'.encode(),
    f"sep=,\n{CSV}".encode("utf-16"),
    CSV.replace("\n", "\r").encode(),
    f"\n\n{CSV}".encode(),
    f",,\n{CSV}".encode(),
    f"{CSV},,\n,,\n , \u00a0,\n".encode(),
    "image,video,prompt,,\nhero.png,clip1.mp4,hop é,,\n,,,,\n".encode(),
    "Image, VIDEO ,\u00a0Prompt\nhero.png,clip1.mp4,hop é\n".encode(),
    "image,video,prompt\n hero.png\u00a0,\u202aclip1.mp4 ,hop é\n".encode(),
    CSV.encode() + bytes(512),
    CSV.encode("utf-16") + bytes(512),
]


async def planned(media: Path, name: str, text: str | bytes) -> Plan:
    """Plan a manifest of this text."""
    (media / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return await plan_manifest(media / name)


def warnings(plan: Plan) -> str:
    """Return the warnings of a plan, as text."""
    return "\n".join(example for group in plan.warnings_by_rule() for example in group.examples)


def refusals(plan: Plan) -> list[str]:
    """Return the errors of a plan, line by line."""
    return [example for group in plan.errors_by_rule() for example in group.examples]


@pytest.mark.parametrize("data", TABLES, ids=range(len(TABLES)))
@pytest.mark.parametrize("name", ["sheet.csv", "sheet.txt", "sheet.tsv"])
async def test_a_table_is_read_as_a_spreadsheet_or_a_crash_left_it(media: Path, name: str, data: bytes) -> None:
    plan = await planned(media, name, data)
    assert refusals(plan) == []
    (entry,) = plan.entries
    assert entry.request == KlingMotionControl(media / "hero.png", media / "clip1.mp4", prompt="hop é")


async def test_a_guessed_encoding_and_zeros_at_the_end_are_warned_of(media: Path) -> None:
    said = warnings(await planned(media, "western.csv", CSV.encode("cp1252")))
    assert "western.csv: is not UTF-8, and was read as Windows-1252, for instance 'é'. Save it as UTF-8" in said
    zeros = warnings(await planned(media, "zeros.csv", CSV.encode() + bytes(9)))
    assert "zeros.csv: ends in 9 zero bytes, as a file that was not written to its end. Look whether" in zeros
    assert warnings(await planned(media, "plain.csv", CSV)) == ""


@pytest.mark.parametrize(("encoding", "prompt"), [("gbk", "跳舞的角色"), ("shift-jis", "ガンダムの踊り")])
async def test_letters_in_an_unknown_encoding_are_never_sent(media: Path, encoding: str, prompt: str) -> None:
    plan = await planned(media, "east.csv", CSV.replace("hop é", prompt).encode(encoding))
    assert "neither UTF-8 nor UTF-16 nor Windows-1252" in warnings(plan)
    assert "Save it as UTF-8 (in Excel: CSV UTF-8)" in warnings(plan)
    assert plan.ready == ()


async def test_a_file_that_is_not_in_the_encoding_of_its_byte_order_mark_is_refused(media: Path) -> None:
    (line,) = refusals(await planned(media, "odd.csv", b"\xff\xfe" + CSV.encode("utf-16-le") + b"\n"))
    assert "odd.csv: is no UTF-16-LE (truncated data). Save it as UTF-8" in line


@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
async def test_a_path_finds_its_file_in_either_unicode_form(media: Path, form: Form, other: Form) -> None:
    name = unicodedata.normalize(other, "café ガンダム.mp4")
    shutil.copy(media / "clip1.mp4", media / name)
    try:
        plan = await planned(media, "accents.csv", f"image,video\nhero.png,{unicodedata.normalize(form, name)}\n")
        assert [entry.clip for entry in plan.ready] == [media / name]
    finally:
        (media / name).unlink()


async def test_a_path_that_has_spaces_on_the_disk_keeps_them(media: Path) -> None:
    shutil.copy(media / "clip1.mp4", media / " clip1.mp4")
    plan = await planned(media, "padded.csv", "image,video\nhero.png, clip1.mp4\n")
    assert [entry.clip for entry in plan.ready] == [media / " clip1.mp4"]
    (media / " clip1.mp4").unlink()


async def test_a_name_in_old_bytes_is_found_by_a_manifest_in_old_bytes(media: Path) -> None:
    odd = media / os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(media / "clip1.mp4", odd)
    plan = await planned(media, "old.csv", b"image,video\nhero.png,caf\xe9.mp4\n")
    assert [entry.clip for entry in plan.entries] == [odd]
    odd.unlink()


@pytest.mark.parametrize("name", ["array.jsonl", "array.json"])
@pytest.mark.parametrize("indent", [None, 2])
async def test_a_json_array_is_read_like_json_lines(media: Path, name: str, indent: int | None) -> None:
    jobs = [{"image": "hero.png", "video": f"clip{number}.mp4"} for number in (1, 2)]
    plan = await planned(media, name, json.dumps(jobs, indent=indent))
    assert [(entry.line, entry.clip) for entry in plan.ready] == [(1, media / "clip1.mp4"), (2, media / "clip2.mp4")]
    one = await planned(media, name, json.dumps(jobs[0], indent=indent))
    assert len(one.ready) == 1


async def test_a_broken_json_array_is_reported_in_one_line(media: Path) -> None:
    (line,) = refusals(await planned(media, "torn.jsonl", '[\n{"image": "hero.png"},\n{"image": \n'))
    assert "torn.jsonl: is no JSON array (Expecting value: line 4 column 1" in line


@pytest.mark.parametrize("ending", ["", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
async def test_json_lines_may_be_written_by_any_program(media: Path, encoding: str, ending: str) -> None:
    row = json.dumps({"Image": " hero.png", "video": "clip1.mp4", "prompt": "é"}, ensure_ascii=False)
    plan = await planned(media, "lines.jsonl", f"{row}{ending}\n\n".encode(encoding) + bytes(4))
    assert [entry.request for entry in plan.ready] == [
        KlingMotionControl(media / "hero.png", media / "clip1.mp4", prompt="é")
    ]


async def test_extra_columns_are_reported_once_and_stand_in_results_log_and_sidecars(
    media: Path, tmp_path: Path
) -> None:
    rows = "".join(f"hero.png,clip1.mp4,{number},take {number},s{number},x\n" for number in range(40))
    plan = await planned(media, "notes.csv", f"image,video,prompt,notes,Shot,state\n{rows}")
    assert (len(plan.ready), plan.refused) == (40, ())
    (group,) = plan.warnings_by_rule()
    assert (group.rule, group.count) == ("columns carried along", 1)
    assert "no model takes the columns notes, Shot, state: carried along into batch.jsonl" in group.examples[0]
    few = Plan(entries=plan.entries[:2])
    async with Emulator(seed=1) as server:
        await run(server, tmp_path, few)
    expected = {number: {"notes": f"take {number - 1}", "Shot": f"s{number - 1}", "state": "x"} for number in (1, 2)}
    assert {line["number"]: (line["notes"], line["state"]) for line in lines(tmp_path)} == {
        number: (columns, "saved") for number, columns in expected.items()
    }
    beside = [json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in videos(tmp_path)]
    assert {one["number"]: one["notes"] for one in beside} == expected


@pytest.mark.parametrize("column", ["promt", "Orientatoin", "negative prompts", "key_"])
async def test_a_column_that_is_probably_a_typing_error_refuses_its_rows(media: Path, column: str) -> None:
    plan = await planned(media, "typo.csv", f"image,video,{column}\nhero.png,clip1.mp4,x\nhero.png,clip1.mp4,\n")
    assert [entry.refused for entry in plan.entries] == [True, False]
    assert "no such column. Did you mean" in refusals(plan)[0]


@pytest.mark.parametrize("column", ["image_id", "video name", "prompts", "shot", "column", "Größe", ""])
async def test_a_column_is_no_typing_error_of_one_that_is_there(media: Path, column: str) -> None:
    plan = await planned(media, "own.csv", f"image,video,prompt,{column}\nhero.png,clip1.mp4,x,y\n")
    assert refusals(plan) == []
    assert [dict(entry.extra_columns) for entry in plan.ready] == [{column or "column 4": "y"}]


async def test_two_columns_that_differ_in_capital_letters_alone_are_refused(media: Path) -> None:
    (line,) = refusals(await planned(media, "letters.csv", "image,Video,video\nhero.png,clip1.mp4,clip2.mp4\n"))
    assert "has column Video twice" in line
    (line,) = refusals(
        await planned(media, "letters.jsonl", '{"image": "hero.png", "Video": "a.mp4", "video": "b.mp4"}')
    )
    assert "letters.jsonl:1, column video: is there twice in other letters" in line


LATER_ROWS = 'hero.png,clip2.mp4,"hidden"\nhero.png,clip10.mp4,last\n'


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
async def test_a_quote_that_its_cell_does_not_close_is_named_and_the_rows_it_hides_are_not_submitted(
    media: Path, tmp_path: Path, ending: str
) -> None:
    text = f'image,video,prompt\nhero.png,clip1.mp4,fine\nhero.png,clip1.mp4,"open\n{LATER_ROWS}'
    plan = await planned(media, "quote.csv", text.replace("\n", ending))
    (line,) = refusals(plan)
    assert "quote.csv:3: opens a quote that its cell does not close: lines 3 to 4 read as one row. Close it" in line
    assert [group.rule for group in plan.errors_by_rule()] == ["unclosed quote"]
    assert not plan.is_valid
    assert [(entry.line, entry.refused) for entry in plan.entries] == [(2, False), (3, True), (5, False)]
    async with Emulator(seed=1) as server:
        await run(server, tmp_path, plan)
        assert sorted(submit.body["prompt"] for submit in server.ledger.submissions) == ["fine", "last"]


@pytest.mark.parametrize("rest", ["", "\n", "\nhero.png,clip2.mp4,two\nhero.png,clip10.mp4,ten\n"])
async def test_a_quote_that_nothing_closes_is_named(media: Path, rest: str) -> None:
    plan = await planned(media, "quote.csv", f'image,video,prompt\nhero.png,clip1.mp4,"open{rest}')
    (line,) = refusals(plan)
    assert "quote.csv:2: opens a quote that " in line
    assert ("lines 2 to 4 read as one row" in line) is (rest.count("\n") > 1)
    assert plan.ready == ()


async def test_a_header_that_opens_a_quote_and_never_closes_it_is_named(media: Path) -> None:
    plan = await planned(media, "quote.csv", 'image,"video\nhero.png,clip1.mp4\nhero.png,clip2.mp4\n')
    (line,) = refusals(plan)
    assert "quote.csv: has a header that opens a quote that its cell does not close: lines 1 to 3" in line
    assert plan.entries == ()


async def test_quotes_that_are_closed_or_stand_inside_a_word_are_no_error(media: Path) -> None:
    cells = {'"two\nlines, ""quoted"""': 'two\nlines, "quoted"', '5" wide': '5" wide', '"a" b': "a b", '""': None}
    rows = "".join(f"hero.png,clip1.mp4,{cell}\n" for cell in cells)
    plan = await planned(media, "quote.csv", f'image,video,prompt\n{rows}hero.png,clip1.mp4,"last\nline"')
    assert refusals(plan) == []
    prompts = [entry.request.parameters().get("prompt") for entry in plan.ready if entry.request]
    assert prompts == [*cells.values(), "last\nline"]


async def test_prompts_keep_their_spaces_and_all_else_loses_them(media: Path) -> None:
    text = "image,video,prompt,orientation,model,key\nhero.png,clip1.mp4, two  ,\u00a0image , kling-v3.0-std, k1 \n"
    (entry,) = (await planned(media, "spaces.csv", text)).entries
    assert entry.request == KlingMotionControl(
        media / "hero.png", media / "clip1.mp4", prompt=" two  ", orientation="image"
    )
    assert entry.key == "k1"


def test_every_invisible_character_is_stripped() -> None:
    assert strip_invisible("\ufeff \u202a\u00a0a b\u202c\u200b\0 ") == "a b"
