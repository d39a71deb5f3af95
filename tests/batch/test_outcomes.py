"""What a run leaves behind: names, stories, lines; how failures are sorted, and how long the rest will take."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import define, evolve, field

from rh_async import (
    ApiError,
    DreamActor,
    JournalError,
    Output,
    Result,
    RHError,
    SaveError,
    SubmitUnknown,
    TaskId,
    Usage,
)
from rh_async._batch.outputs.output_writer import OutputWriter
from rh_async._batch.outputs.results_log import ResultsLog
from rh_async._batch.progress.eta import time_left
from rh_async._batch.session_port import SessionPort
from rh_async._batch.state.batch_outcome import OutcomeState, is_safe_to_retry, state_of
from rh_async._media.file_extension import stated_extension
from rh_async._submission.record_mapping import PriorAttempt
from rh_async.batch import BatchOutcome, Entry, OutputNaming, Price, RunTimeSummary
from rh_async.emulator import Emulator, Fault
from rh_async.errors import (
    AtCapacity,
    AuthenticationFailed,
    BalanceExhausted,
    ContentRejected,
    InvalidMedia,
    InvalidResponse,
    JobCancelled,
    JobFailed,
    JobLost,
    NotFound,
    NotSent,
    OutOfResources,
    OutputRefused,
    RateLimited,
    ResponseLost,
    ServerFault,
)
from tests.batch.running import lines, product, run

REQUEST = DreamActor("hero.png", "dance.mp4")
ENTRY = Entry(
    number=7,
    source="clips",
    clip=Path("dance.mp4"),
    characters=(Path("hero.png"),),
    request=REQUEST,
    price=Price(Decimal("0.96"), "CNY"),
)
PAST = PriorAttempt(key="k7", sha256s={Path("dance.mp4"): "ab" * 32})


def made(task_id: str, *kinds: str) -> Result:
    return Result(
        task_id=TaskId(task_id),
        outputs=tuple(Output(url="https://cdn.test/x", type=kind) for kind in kinds),
        usage=Usage(money=Decimal("0.90")),
        submitted_utc=datetime(2026, 1, 1, 12, 0, tzinfo=UTC),
        noticed_utc=datetime(2026, 1, 1, 12, 3, tzinfo=UTC),
    )


@define
class Disk:
    """A session whose downloads are files that hold their task id."""

    fetched: list[str] = field(factory=list)

    async def save(self, result: Result, folder: Path, *, name: Callable[[TaskId, int, str], str]) -> tuple[Path, ...]:
        paths = tuple(
            folder / name(result.task_id, index, stated_extension(output) or "bin")
            for index, output in enumerate(result.outputs)
        )
        await asyncio.to_thread(self._write, paths, result.task_id)
        return paths

    def _write(self, paths: tuple[Path, ...], text: str) -> None:
        for path in paths:
            if not path.exists():
                path.write_text(text)
                self.fetched.append(path.name)


def writer(folder: Path, template: str = "{clip}__{character}__{task_id}.mp4") -> OutputWriter:
    return OutputWriter(port=cast("SessionPort", Disk()), folder=folder, naming=OutputNaming(template))


# --- names and sidecars ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "kinds", "names"),
    [
        ("{clip}__{character}__{task_id}.mp4", ["mp4"], ["dance__hero__1.mp4"]),
        ("{clip}.mp4", ["mp4", "mp4"], ["dance_1.mp4", "dance_2.mp4"]),
        ("{clip}.mp4", ["mp4", "png"], ["dance_1.mp4", "dance_2.png"]),
        ("{clip}.mp4", ["webm"], ["dance.webm"]),
        ("{clip}.v2", ["mp4"], ["dance.v2.mp4"]),
        ("{number:04}", ["mp4"], ["0007.mp4"]),
        ("{clip}.mp4", [""], ["dance.mp4"]),
        ("{clip}", [""], ["dance.bin"]),
        ("{clip}", ["video"], ["dance.bin"]),
        ("{clip}.mp4", ["../../etc"], ["dance.mp4"]),
    ],
)
async def test_an_output_is_named_by_the_template_and_its_file_type(
    tmp_path: Path, template: str, kinds: list[str], names: list[str]
) -> None:
    paths = await writer(tmp_path, template).save(ENTRY, PAST, made("1", *kinds))
    assert [path.name for path in paths] == names
    assert all(path.parent == tmp_path for path in paths)


async def test_an_output_of_another_task_is_neither_reused_nor_overwritten(tmp_path: Path) -> None:
    output_writer = writer(tmp_path, "{clip}.mp4")
    (tmp_path / "dance.mp4").write_text("a studio's own")
    paths = [(await output_writer.save(ENTRY, PAST, made(str(task), "mp4")))[0] for task in (1, 2, 1)]
    assert [path.name for path in paths] == ["dance__1.mp4", "dance__2.mp4", "dance__1.mp4"]
    assert (tmp_path / "dance.mp4").read_text() == "a studio's own"
    assert [path.read_text() for path in paths] == ["1", "2", "1"]


async def test_an_output_that_was_saved_under_a_free_name_keeps_the_name(tmp_path: Path) -> None:
    for _ in range(2):
        (path,) = await writer(tmp_path, "{clip}.mp4").save(ENTRY, PAST, made("1", "mp4"))
        assert path.name == "dance.mp4"


async def test_the_sidecar_of_an_output_holds_what_made_it(tmp_path: Path) -> None:
    (path,) = await writer(tmp_path).save(ENTRY, PAST, made("1", "mp4"))
    assert json.loads((tmp_path / f"{path.name}.json").read_text()) == {
        "number": 7,
        "origin": "clips",
        "task_id": "1",
        "key": "k7",
        "notes": {},
        "model": "bytedance/dreamactor-v2",
        "request": {"imageUrl": "hero.png", "videoUrl": "dance.mp4"},
        "sources": {"dance.mp4": "ab" * 32},
        "usage": {"money": "0.90", "currency": None, "coins": None, "seconds": None},
        "list_price": {"amount": "0.96", "currency": "CNY"},
        "submitted_utc": "2026-01-01T12:00:00+00:00",
        "noticed_utc": "2026-01-01T12:03:00+00:00",
        "seconds": 180.0,
        "outputs": ["dance__hero__1.mp4"],
        "bytes": [1],
    }
    assert not list(tmp_path.glob(".*"))


async def test_a_file_name_that_is_not_utf8_is_logged_too(tmp_path: Path) -> None:
    not_utf8 = Path("d\udcffnce.mp4")
    entry = Entry(number=1, source="clips", clip=not_utf8, request=DreamActor("hero.png", not_utf8))
    result = made("1", "mp4")
    (path,) = await writer(tmp_path).save(entry, PriorAttempt(key="k", sha256s={not_utf8: "00"}), result)
    log = ResultsLog(tmp_path / "batch.jsonl")
    await log.open()
    await log.append(BatchOutcome(entry=entry, state="saved", task_id=result.task_id, result=result, paths=(path,)))
    assert json.loads((tmp_path / "batch.jsonl").read_text())["task_id"] == "1"


# --- results log -----------------------------------------------------------------------------------------------------


async def test_every_line_is_flat_and_has_the_same_columns(stock: Path, tmp_path: Path) -> None:
    async with Emulator(seed=1, balance=4.0) as server:
        outcomes = await run(server, tmp_path, await product(stock), options={"in_flight": 1})
    logged = lines(tmp_path)
    assert len(logged) == len(outcomes) == 9
    assert len({tuple(line) for line in logged}) == 1
    flat = (value for line in logged for name, value in line.items() if name != "notes")
    assert all(isinstance(value, str | int | float | None) for value in flat)
    saved = next(line for line in logged if line["state"] == "saved")
    assert saved["money"] == saved["list_price"]
    assert saved["seconds"] > 0
    assert Path(saved["path"]).exists()
    rejected = next(line for line in logged if line["state"] == "rejected")
    assert (rejected["cause"], rejected["error"], rejected["code"]) == ("account", "BalanceExhausted", "812")


async def test_a_manifests_own_columns_are_in_the_results_log_and_in_the_sidecar(stock: Path, tmp_path: Path) -> None:
    columns = {"client": "Atlas", "Takte": "96"}
    plan = await product(stock)
    noted = evolve(plan, entries=(evolve(plan.entries[0], extra_columns=columns), *plan.entries[1:3]))
    async with Emulator(seed=1) as server:
        outcomes = await run(server, tmp_path, noted)
        assert len(server.ledger.tasks) == 3
    logged = {line["number"]: line["notes"] for line in lines(tmp_path)}
    assert logged == {1: columns, 2: {}, 3: {}}
    for outcome in outcomes:
        sidecar = json.loads(outcome.paths[0].with_name(f"{outcome.paths[0].name}.json").read_text())
        assert sidecar["notes"] == logged[outcome.entry.number]


async def test_why_a_job_failed_is_logged_also_by_a_later_run(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    why = {"node_name": "KSampler", "exception_message": "out of memory"}
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("failed", nth=2, failed_reason=why))
        await run(server, tmp_path, plan)
        (tmp_path / "out" / "batch.jsonl").rename(tmp_path / "first.jsonl")
        await run(server, tmp_path, plan)
        assert len(server.ledger.submissions) == 9
    first = [json.loads(line) for line in (tmp_path / "first.jsonl").read_text().splitlines()]
    for logged in (first, lines(tmp_path)):
        reasons = [line["reason"] for line in logged if line["state"] == "failed"]
        assert reasons == ["KSampler: out of memory"]
        assert {line["reason"] for line in logged if line["state"] != "failed"} == {""}


async def test_a_line_that_a_kill_cut_off_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    who = '"key": "k7", "clip": "dance", "character": "hero"'
    path.write_text(f'{{{who}, "task_id": "1", "state": "saved"}}\n{{"key": "k8", "ta')
    log = ResultsLog(path)
    await log.open()
    for task in ("1", "2"):
        await log.append(BatchOutcome(entry=ENTRY, key="k7", state="saved", task_id=TaskId(task)))
    whole = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    assert [line["task_id"] for line in whole] == ["1", "2"]
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize("key", ["duplicate_of", "twin"])
async def test_a_duplicates_output_is_known_from_a_line_of_this_and_of_an_earlier_version(
    tmp_path: Path, key: str
) -> None:
    line = {"number": 2, "task_id": "1", "path": "/moved/since/dance.mp4", key: 1}
    (tmp_path / "batch.jsonl").write_text(f"{json.dumps(line)}\n{json.dumps({**line, key: None})}\n")
    log = ResultsLog(tmp_path / "batch.jsonl")
    await log.open()
    assert log.duplicate_paths == {"1": [tmp_path / "dance.mp4"]}


@pytest.mark.parametrize(
    ("old", "state"),
    [
        ("kept", "already_done"),
        ("refused", "rejected"),
        ("uncertain", "unconfirmed"),
        ("unsaved", "save_failed"),
        ("withheld", "skipped"),
    ],
)
async def test_an_outcome_that_an_earlier_version_logged_by_an_old_state_is_not_logged_again(
    tmp_path: Path, old: str, state: OutcomeState
) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_text(f'{{"key": "k7", "clip": "dance", "character": "hero", "task_id": "1", "state": "{old}"}}\n')
    log, before = ResultsLog(path), path.read_text()
    await log.open()
    await log.append(BatchOutcome(entry=ENTRY, key="k7", state=state, task_id=TaskId("1")))
    assert path.read_text() == before


async def test_a_half_written_line_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write = ResultsLog(tmp_path / "batch.jsonl"), os.write
    await log.open()
    logged = [BatchOutcome(entry=ENTRY, key="k7", state="saved", task_id=TaskId(task)) for task in ("1", "2", "3")]
    await log.append(logged[0])
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
        with pytest.raises(SaveError, match="No space left"):
            await log.append(logged[1])
    await log.append(logged[2])
    lines_there = (tmp_path / "batch.jsonl").read_text().splitlines()
    assert [json.loads(line)["task_id"] for line in lines_there] == ["1", "3"]


async def test_lines_of_another_program_stop_nothing(tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_text('{"key": ["k7"], "task_id": {}, "state": [1]}\n[]\n7\n')
    log = ResultsLog(path)
    await log.open()
    await log.append(BatchOutcome(entry=ENTRY, key="k7", state="saved", task_id=TaskId("1")))
    assert len(path.read_text().splitlines()) == 4


# --- causes and states -----------------------------------------------------------------------------------------------


def withdrawn() -> JobCancelled:
    return JobCancelled("withdrawn", phase="submit", maybe_billed=False)


ERRORS: list[tuple[RHError, Any, Any, bool]] = [
    (ContentRejected("x"), "job", "rejected", False),
    (InvalidMedia("x"), "job", "rejected", False),
    (NotFound("x"), "job", "rejected", False),
    (JobFailed("x"), "job", "failed", False),
    (JobFailed("x", may_resubmit=True), "transient", "failed", False),
    (JobFailed("x", may_resubmit=True, maybe_billed=False), "transient", "failed", False),
    (JobLost("x"), "job", "failed", False),
    (AuthenticationFailed("x", phase="submit"), "account", "rejected", False),
    (AuthenticationFailed("x", phase="query"), "account", "skipped", False),
    (AuthenticationFailed("x", phase="query", maybe_billed=True), "account", "unconfirmed", False),
    (BalanceExhausted("x", phase="submit"), "account", "rejected", False),
    (NotSent("x"), "transient", "skipped", True),
    (ResponseLost("x"), "transient", "skipped", True),
    (RateLimited("x"), "transient", "skipped", True),
    (AtCapacity("x"), "transient", "skipped", True),
    (ServerFault("x"), "transient", "skipped", True),
    (InvalidResponse("x", body=b""), "transient", "skipped", True),
    (ApiError("x", retryable=True), "transient", "skipped", True),
    (ApiError("x", maybe_billed=True), "job", "unconfirmed", False),
    (SubmitUnknown("x"), "transient", "unconfirmed", False),
    (JournalError("x"), "local_io", "skipped", False),
    (JournalError("x", maybe_billed=True), "local_io", "unconfirmed", False),
    (SaveError("x"), "local_io", "unconfirmed", False),
    (OutputRefused("x"), "job", "unconfirmed", False),
    (OutOfResources("x"), "transient", "skipped", True),
    (withdrawn(), "job", "skipped", False),
]


@pytest.mark.parametrize(
    ("error", "cause", "state", "retry"), ERRORS, ids=lambda value: type(value).__name__ if value else None
)
def test_an_error_has_one_cause_one_state_and_may_or_may_not_be_retried(
    error: RHError, cause: str, state: str, retry: bool
) -> None:
    assert (error.blame, state_of(error), is_safe_to_retry(error)) == (cause, state, retry)


# --- time left -------------------------------------------------------------------------------------------------------

KNOWN = RunTimeSummary(median=180.0, low=120.0, high=300.0, samples=200)


def test_the_time_left_is_the_work_left_divided_by_the_slots() -> None:
    left = time_left({"m": 1000}, [90.0] * 50, {"m": KNOWN}, 50)
    assert left is not None
    low, middle, high = left
    assert middle == pytest.approx((1000 * 180 + 50 * 90) / 50)
    assert low < middle < high
    assert high - low < 0.3 * middle


def test_the_upper_bound_allows_for_a_long_last_job() -> None:
    left = time_left({"m": 1000}, [], {"m": KNOWN}, 50)
    assert left is not None
    low, middle, high = left
    assert high - middle == pytest.approx(middle - low + KNOWN.high - KNOWN.median)


def test_the_time_left_is_no_shorter_than_the_longest_running_job() -> None:
    left = time_left({}, [10.0, 400.0], {"m": KNOWN}, 50)
    assert left is not None
    assert left[1] == 400.0


def test_the_time_left_is_less_certain_with_fewer_run_times() -> None:
    few = RunTimeSummary(median=180.0, low=120.0, high=300.0, samples=2)
    spreads = [time_left({"m": 1000}, [], {"m": times}, 50) for times in (KNOWN, few)]
    sure, unsure = (left[2] - left[0] for left in spreads if left is not None)
    assert unsure > 2 * sure


def test_there_is_no_time_left_for_a_model_without_run_times() -> None:
    assert time_left({"m": 3, "other": 1}, [], {"m": KNOWN}, 50) is None
    assert time_left({}, [None], {}, 50) is None
