"""``rh-async jobs``: every state is described, nothing is cut at any width, no API key and no network is needed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from rh_async import (
    CHINA_SITE,
    GLOBAL_SITE,
    JournalError,
    KlingMotionControl,
    Session,
    TaskId,
)
from rh_async._cli.commands import jobs_command as _jobs
from rh_async._cli.commands.jobs_command import model, outcome, subject
from rh_async._journal.reader import Overview, Row, overview, read, stream
from rh_async._journal.sqlite_schema import SCHEMA, VERSION
from rh_async.emulator import Emulator
from rh_async.journal import SubmissionRecord, SubmissionState
from tests.cli.conftest import Shell

LONG_AGO = "2026-01-02T03:04:05+00:00"
BARE = SubmissionRecord(
    key="k", attempt=1, state=SubmissionState.CLAIMED, owner="o", endpoint="kling-v3.0-std/motion-control"
)
BARE = evolve(BARE, task_id=TaskId("1"), claimed_utc=LONG_AGO)
SUCCESS = b'{"taskId":"1","status":"SUCCESS","results":[{"url":"http://127.0.0.1:9/a.mp4","outputType":"mp4"}]}'


def row(*, carried: bool = False, **facts: Any) -> Row:
    return Row(site="s", record=evolve(BARE, **facts), carried=carried)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (row(), "never sent"),
        (row(carried=True), "claimed by a live process, not sent yet"),
        (row(state=SubmissionState.SUBMITTED), "running, not watched: rh-async resume"),
        (row(state=SubmissionState.SUBMITTED, carried=True), "running, watched by a live process"),
        (row(state=SubmissionState.SETTLED, raw=SUCCESS), "succeeded, not saved yet: rh-async resume"),
        (
            row(state=SubmissionState.SETTLED, raw=SUCCESS, carried=True),
            "succeeded, not saved yet, run by a live process",
        ),
        (row(state=SubmissionState.SETTLED, raw=b'{"taskId":"1","status":"CANCEL"}'), "CANCEL"),
        (row(state=SubmissionState.SETTLED, raw=b"?"), "over, and its last response cannot be read"),
        (row(state=SubmissionState.SETTLED, error=("JobLost", "", "forgotten")), "JobLost: forgotten"),
        (row(state=SubmissionState.SAVED, paths=("a.mp4", "b.mp4")), "a.mp4, b.mp4"),
        (row(state=SubmissionState.SAVED), "nothing to save"),
        (
            row(state=SubmissionState.REFUSED, error=("RequestRejected", "1007", "no\x1b[2J")),
            "RequestRejected: 1007: no\ufffd[2J",
        ),
        (row(state=SubmissionState.REFUSED), "rejected"),
        (row(state=SubmissionState.UNCERTAIN), "the response was lost: rh-async confirm, or rh-async discard"),
        (row(state=SubmissionState.ABANDONED), "discarded"),
        (row(state=SubmissionState.LOST), "the server did not know it when last asked: rh-async resume asks again"),
    ],
)
def test_every_state_is_described(given: Row, message: str) -> None:
    assert outcome(given) == message


@pytest.mark.parametrize(
    ("site", "currency"), [(GLOBAL_SITE, "USD"), (CHINA_SITE, "CNY"), ("http://127.0.0.1:9", None)]
)
def test_a_stored_result_is_in_the_currency_of_its_site(site: str, currency: str | None) -> None:
    raw = SUCCESS[:-1] + b',"usage":{"consumeMoney":"0.5"}}'
    stored = evolve(row(state=SubmissionState.SETTLED, raw=raw), site=site).result()
    assert stored is not None
    assert (stored.usage.money, stored.usage.currency) == (Decimal("0.5"), currency)


def test_models_are_named_as_they_are_typed() -> None:
    assert model("rhart-video/wan2.2/character-motion-transfer") == "wan2.2"
    assert (model("vendor/other"), model("")) == ("vendor/other", "-")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ('{"imageUrl": "/a/hero.png", "videoUrl": "clips/dance.MP4", "prompt": "a.b"}', "dance.MP4 × hero.png"),
        ('{"images": ["a.png", "b.jpg"], "text": "no file"}', "a.png × b.jpg"),
        ('{"videoUrl": "Upload(file_name=\'openapi/1f.mp4\', sha256=\'...\')", "seed": 7}', "1f.mp4"),
        ('{"image": "data:image/png;base64,AAAA", "nested": {"a": 1}}', ""),
    ],
)
def test_a_job_is_named_by_its_clip_and_its_character(inputs: str, message: str) -> None:
    assert subject(row(inputs=inputs).record) == message


@pytest.mark.parametrize(("ago", "message"), [(-5, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (900_000, "10d")])
def test_ages_are_short(ago: int, message: str) -> None:
    assert _jobs._age(ago) == message


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Row]], None]:
    """Put rows in the place of a journal's."""

    def put(rows: list[Row]) -> None:
        def stream(_: Path, site: str | None = None, **__: object) -> Iterator[Row]:
            return (row for row in rows if site in {None, row.site})

        sites = tuple(dict.fromkeys(row.site for row in rows))
        monkeypatch.setattr("rh_async._cli.commands.jobs_command.overview", lambda _: Overview(sites, len("auto-") + 8))
        monkeypatch.setattr("rh_async._cli.commands.jobs_command.stream", stream)

    return put


async def test_at_80_columns_each_job_takes_lines_that_fit_and_nothing_is_cut(
    shell: Shell, listed: Callable[[list[Row]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    began = (datetime.now(UTC) - timedelta(hours=2, minutes=1)).isoformat()
    key = "auto-5f0c0f0c5f0c0f0c5f0c0f0c5f0c0f0c"
    inputs = '{"imageUrl": "a/hero.png", "videoUrl": "https://h.test/b/dance.mp4?sign=1", "prompt": "hop"}'
    saved = row(key=key, inputs=inputs, state=SubmissionState.SAVED, paths=("/out/2013508786111402977_0.mp4",))
    listed([evolve(saved, record=evolve(saved.record, claimed_utc=began, task_id=TaskId("2013508786111402977")))])
    ended = await shell("jobs")
    assert ended.out.splitlines() == [
        "STATE       AGE  MODEL           TASK ID            ",
        "saved        2h  kling-v3.0-std  2013508786111402977",
        "  dance.mp4 × hero.png, key auto-5f0c0f0c",
        "  /out/2013508786111402977_0.mp4",
    ]


async def test_at_160_columns_each_job_takes_a_line(
    shell: Shell, listed: Callable[[list[Row]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    listed([row(state=SubmissionState.UNCERTAIN, task_id=None)])
    head, line = (await shell("jobs")).out.splitlines()
    assert head.split() == ["STATE", "AGE", "MODEL", "TASK", "ID", "KEY", "JOB", "RESULT"]
    assert line.split()[2:5] == ["kling-v3.0-std", "-", "k"]


async def test_jobs_of_two_sites_are_listed_apart(shell: Shell, listed: Callable[[list[Row]], None]) -> None:
    listed([row(), evolve(row(), site="t")])
    lines = (await shell("jobs")).out.splitlines()
    assert [line for line in lines if len(line) == 1] == ["s", "t"]


async def test_an_empty_list_says_so(shell: Shell, journal_file: Path) -> None:
    assert (await shell("jobs")).out == f"No job in the journal {journal_file}\n"
    assert (await shell("jobs --state saved --state settled")).out.startswith("No job that is saved or settled in the")
    assert (await shell("jobs --json")).out == ""
    assert not journal_file.exists()
    journal_file.touch()
    assert (await shell("jobs")).code == 0


async def test_a_file_that_is_no_journal_is_left_as_it_is(shell: Shell, journal_file: Path) -> None:
    journal_file.mkdir()
    ended = await shell("jobs")
    assert ended.code == 2
    assert f"the journal {journal_file} cannot be read: " in ended.err


def test_a_process_that_cannot_be_checked_counts_as_alive(journal_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> bool:
        raise PermissionError

    with sqlite3.connect(journal_file) as db:
        db.executescript(f"{SCHEMA} PRAGMA user_version = {VERSION};")
        values = "'s', 'k', 1, '', 'submitted', 'o', '', '{}', '', '1', '', NULL, NULL, x'', NULL, NULL, '[]'"
        names = "site, key, attempt, fingerprint, state, owner, endpoint, inputs, nonce, task_id, claimed_utc"
        rest = "submitted_utc, noticed_utc, raw, error, folder, paths"
        db.execute(f"INSERT INTO jobs ({names}, {rest}) VALUES ({values})")  # noqa: S608 - all of it is written here
    db.close()
    assert [one.carried for one in read(journal_file)] == [False]
    monkeypatch.setattr("rh_async._journal.lease.ProcessLease.is_alive", refused)
    assert [one.carried for one in read(journal_file)] == [True]


def test_a_broken_row_is_no_traceback(journal_file: Path) -> None:
    with sqlite3.connect(journal_file) as db:
        db.executescript("PRAGMA user_version = 1;")
    db.close()
    with pytest.raises(JournalError, match="cannot be read: no such table: jobs"):
        read(journal_file)


def filled(journal_file: Path, keys: list[str]) -> None:
    """Make a journal with a saved job for each key."""
    with sqlite3.connect(journal_file) as db:
        db.executescript(f"{SCHEMA} PRAGMA user_version = {VERSION};")
        names = "site, key, attempt, fingerprint, state, owner, endpoint, inputs, nonce, paths, task_id, "
        names += "claimed_utc, raw"
        values = "'s', :key, 1, '', 'saved', 'o', '', '{}', '', '[]', :task, :at, x''"
        rows = [{"key": key, "task": str(n), "at": LONG_AGO} for n, key in enumerate(keys)]
        db.executemany(f"INSERT INTO jobs ({names}) VALUES ({values})", rows)  # noqa: S608 - all of it is written here
    db.close()


def test_derived_keys_are_shortened_as_far_as_they_stay_distinct(journal_file: Path) -> None:
    filled(journal_file, ["auto-" + "0" * 32, "auto-" + "1" * 32, "mine"])
    assert overview(journal_file).shown == len("auto-00000000")
    filled_on = journal_file.with_name("more.db")
    filled(filled_on, ["auto-" + "0" * 32, "auto-" + "0" * 12 + "1" * 20, "auto-" + "2" * 32])
    assert overview(filled_on).shown == len("auto-") + 13


async def test_a_large_journal_is_printed_page_by_page(
    shell: Shell, journal_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(journal_file, [f"key {n}" for n in range(1000)])
    read_rows = 0

    def counted(*args: Any, **which: Any) -> Iterator[Row]:
        nonlocal read_rows
        for one in stream(*args, **which):
            read_rows += 1
            yield one

    rows_read: list[int] = []
    lines = _jobs.Table.lines

    def noted(table: _jobs.Table, one: Row) -> Iterator[str]:
        rows_read.append(read_rows)
        return lines(table, one)

    monkeypatch.setattr("rh_async._cli.commands.jobs_command.stream", counted)
    monkeypatch.setattr("rh_async._cli.commands.jobs_command.Table.lines", noted)
    ended = await shell("jobs")
    assert [line for line in ended.out.splitlines() if "key " in line] == [f"  key key {n}" for n in range(1000)]
    assert rows_read[0] == _jobs._PAGE  # no more was read when the first line was printed
    assert len((await shell("jobs --json")).out.splitlines()) == 1000
    assert (await shell("jobs --state uncertain")).out == f"No job that is uncertain in the journal {journal_file}\n"


async def test_a_journal_is_copied_while_a_job_runs_and_the_copy_submits_nothing_twice(
    site: Emulator, desk: Path, shell: Shell, journal_file: Path
) -> None:
    async with Session(journal=journal_file) as session:
        job = await session.submit(KlingMotionControl(desk / "hero.png", desk / "dance.mp4"), idempotency_key="k")
        ended = await shell("jobs --backup copy.db")
        assert (ended.code, ended.out) == (0, f"The journal {journal_file} is copied to copy.db\n")
        await job
    assert [path.name for path in desk.glob("copy.db*")] == ["copy.db"]
    assert "submitted" in (await shell("jobs --journal copy.db")).out
    assert (await shell("run hero.png dance.mp4 --key k --journal copy.db")).code == 0
    assert len(site.ledger.submissions) == 1
    (desk / "words.txt").write_text("no journal")
    for line, message in (
        ("jobs --backup words.txt", "words.txt is no journal"),
        ("jobs --backup no/where", "cannot be"),
    ):
        ended = await shell(line)
        assert (ended.code, message in ended.err) == (2, True)
    assert (desk / "words.txt").read_text() == "no journal"
