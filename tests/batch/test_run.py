"""A run submits each entry once, however often it is stopped, and each failure has a cause: who must act."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from rh_async import DreamActor, ModelRequest, Request, SaveError, Session, TaskId
from rh_async.batch import Entry, Plan
from rh_async.emulator import Emulator, Fault
from rh_async.errors import BalanceExhausted, JobFailed, JobLost, KeyConflict, SessionError
from rh_async.journal import SubmissionState
from tests.batch.running import each_file_was_uploaded_once, lines, opened, plan_of, product, run, states, videos


async def test_every_entry_is_submitted_once_saved_beside_its_sidecar_and_logged_in_a_line(
    stock: Path, tmp_path: Path
) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        outcomes = await run(server, tmp_path, plan)
        assert states(outcomes) == {"saved": 9}
        assert len(server.ledger.tasks) == len(server.ledger.submissions) == 9
        assert len(server.ledger.uploads) == 6
        assert each_file_was_uploaded_once(server)
        assert {line["task_id"] for line in lines(tmp_path)} == {task.task_id for task in server.ledger.tasks}
    for outcome in outcomes:
        (path,) = outcome.paths
        sidecar = json.loads(path.with_name(path.name + ".json").read_text())
        assert sidecar["task_id"] == outcome.task_id
        assert path.read_bytes()


async def test_a_second_run_of_a_finished_plan_polls_uploads_and_submits_nothing(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        await run(server, tmp_path, plan)
        before = len(server.ledger.submissions), len(server.ledger.uploads), len(server.ledger.downloads)
        polls = [call for call in server.ledger.calls if call.kind == "query"]
        again = await run(server, tmp_path, plan)
        assert states(again) == {"already_done": 9}
        assert (len(server.ledger.submissions), len(server.ledger.uploads), len(server.ledger.downloads)) == before
        assert [call for call in server.ledger.calls if call.kind == "query"] == polls
    assert len(lines(tmp_path)) == 9
    assert all(outcome.paths[0].exists() for outcome in again)


def keyed(request: Request, key: str) -> Plan:
    """Make a plan of one job with an explicit key."""
    return Plan(entries=(Entry(number=1, source="by hand", request=request, key=key),))


async def test_a_key_of_another_job_is_rejected_and_does_not_fetch_that_jobs_video(stock: Path, tmp_path: Path) -> None:
    clips, heroes = sorted(stock.glob("clip*.mp4")), sorted(stock.glob("hero*.png"))
    async with Emulator(seed=1) as server:
        (first,) = await run(server, tmp_path, keyed(DreamActor(heroes[0], clips[0]), "k1"))
        (same,) = await run(server, tmp_path, keyed(DreamActor(heroes[0], clips[0]), "k1"))
        (other,) = await run(server, tmp_path, keyed(DreamActor(heroes[0], clips[1]), "k1"))
    assert (first.state, same.state, other.state) == ("saved", "already_done", "rejected")
    assert other.task_id is None
    assert isinstance(other.error, KeyConflict)
    assert "clip1.mp4" in str(other.error)
    assert len(server.ledger.tasks) == 1


@pytest.mark.parametrize("retry_failed", [False, True])
async def test_a_lost_task_is_queried_again_before_it_is_resubmitted(retry_failed: bool, tmp_path: Path) -> None:
    plan = plan_of([ModelRequest("own/model", {"seed": n}) for n in range(3)])
    async with Emulator(seed=1, run_time=200.0) as server:
        server.faults.add(Fault("error_code", route="query", code="1004", times=None))
        lost = await run(server, tmp_path, plan)
        assert [type(outcome.error) for outcome in lost] == [JobLost] * 3
        server.faults.clear()
        assert states(await run(server, tmp_path, plan, retry_failed=retry_failed)) == {"saved": 3}
    assert len(server.ledger.submissions) == 3


async def test_a_task_that_is_still_lost_is_resubmitted_only_with_retry_failed(tmp_path: Path) -> None:
    plan = plan_of([ModelRequest("own/model", {"seed": 1})])
    async with Emulator(seed=1, run_time=20.0) as server:
        server.faults.add(Fault("error_code", route="query", code="1004", times=None))
        for submits, retry_failed in ((1, False), (1, False), (2, True), (3, True)):
            (outcome,) = await run(server, tmp_path, plan, retry_failed=retry_failed)
            assert (outcome.state, type(outcome.error)) == ("failed", JobLost)
            assert len(server.ledger.submissions) == submits


@pytest.mark.parametrize("after", [0.0, 0.01, 0.1, 1, 30, 90, 120, 200, 400])
@pytest.mark.parametrize("how", ["cancelled", "closed", "session left"])
async def test_a_run_stopped_at_any_moment_continues_and_submits_nothing_twice(
    stock: Path, tmp_path: Path, after: float, how: str
) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        async with opened(server, tmp_path, in_flight=3) as session:
            batch = session.batch(plan, tmp_path / "out")
            reading = asyncio.create_task(_read(batch))
            await asyncio.sleep(after)
            if how == "cancelled":
                reading.cancel()
            elif how == "closed":
                await batch.aclose()
        await asyncio.wait([reading])
        await run(server, tmp_path, plan, options={"in_flight": 3})
        assert len(server.ledger.tasks) == len(server.ledger.submissions) == 9
        assert each_file_was_uploaded_once(server)
    assert len(videos(tmp_path)) == 9
    assert not list((tmp_path / "out").glob("*.part"))


async def _read(batch: Any) -> list[Any]:
    try:
        return [outcome async for outcome in batch]
    except SessionError:
        return []


async def test_a_second_run_at_the_same_time_submits_nothing(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        ended = await asyncio.gather(*(run(server, tmp_path, plan) for _ in range(2)))
        assert len(server.ledger.tasks) == len(server.ledger.submissions) == 9
    for outcomes in ended:
        assert set(states(outcomes)) <= {"saved", "already_done"}
        assert len(outcomes) == 9
    assert len(videos(tmp_path)) == 9


async def test_a_deleted_output_is_downloaded_again(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        first = await run(server, tmp_path, plan)
        first[0].paths[0].unlink()
        assert states(await run(server, tmp_path, plan)) == {"already_done": 8, "saved": 1}
        assert len(server.ledger.submissions) == 9
    assert len(videos(tmp_path)) == 9


async def test_two_runs_that_retry_failed_jobs_submit_each_once_more_together(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("failed", times=2))
        await run(server, tmp_path, plan)
        ended = await asyncio.gather(*(run(server, tmp_path, plan, retry_failed=True) for _ in range(2)))
        assert len(server.ledger.tasks) == len(server.ledger.submissions) == 11
    assert all(set(states(outcomes)) <= {"saved", "already_done"} for outcomes in ended)


# --- failures of the job ---------------------------------------------------------------------------------------------


async def test_a_failed_job_is_submitted_again_only_with_retry_failed(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("failed", times=2))
        first = await run(server, tmp_path, plan)
        assert states(first) == {"saved": 7, "failed": 2}
        failed = [outcome for outcome in first if outcome.state == "failed"]
        assert all(isinstance(outcome.error, JobFailed) and outcome.cause == "job" for outcome in failed)
        assert states(await run(server, tmp_path, plan)) == {"already_done": 7, "failed": 2}
        assert len(server.ledger.submissions) == 9
        assert states(await run(server, tmp_path, plan, retry_failed=True)) == {"already_done": 7, "saved": 2}
        assert len(server.ledger.submissions) == 11
        assert states(await run(server, tmp_path, plan, retry_failed=True)) == {"already_done": 9}
        assert len(server.ledger.submissions) == 11


@pytest.mark.parametrize("code", ["1005", "1010", "1011", "1012", "1504"])
async def test_a_job_that_failed_because_the_server_was_busy_is_submitted_again_only_with_retry_failed(
    stock: Path, tmp_path: Path, code: str
) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("failed", code=code))
        async with opened(server, tmp_path) as session:
            batch = session.batch(plan, tmp_path / "out")
            first = [outcome async for outcome in batch]
            assert [group.kind for group in batch.progress().errors] == [f"server busy ({code})"]
        assert states(first) == {"saved": 8, "failed": 1}
        assert [outcome.cause for outcome in first if outcome.state == "failed"] == ["transient"]
        assert states(await run(server, tmp_path, plan)) == {"already_done": 8, "failed": 1}
        assert len(server.ledger.submissions) == 9
        assert states(await run(server, tmp_path, plan, retry_failed=True)) == {"already_done": 8, "saved": 1}
        assert len(server.ledger.submissions) == 10


async def test_a_job_rejected_by_moderation_stays_rejected_without_retry_failed(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("error_code", code="1501", nth=2))
        first = await run(server, tmp_path, plan)
        assert states(first) == {"saved": 8, "rejected": 1}
        assert [outcome.cause for outcome in first if outcome.state == "rejected"] == ["job"]
        again = await run(server, tmp_path, plan)
        assert states(again) == {"already_done": 8, "rejected": 1}
        assert [outcome.error.code for outcome in again if outcome.error] == ["1501"]
        assert len(server.ledger.submissions) == 9
        assert states(await run(server, tmp_path, plan, retry_failed=True)) == {"already_done": 8, "saved": 1}


async def test_an_entry_whose_file_vanished_is_rejected_and_all_other_entries_go_on(
    stock: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.png"
    images = (stock / "hero0.png", gone, stock / "hero1.png")
    requests = [DreamActor(image, stock / "clip1.mp4") for image in images]
    async with Emulator(seed=1) as server:
        outcomes = await run(server, tmp_path, plan_of(requests))
        assert states(outcomes) == {"saved": 2, "rejected": 1}
        assert len(server.ledger.submissions) == 2


async def test_an_unconfirmed_submit_is_reported_and_never_sent_again(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("drop_after_accept", nth=4))
        assert states(await run(server, tmp_path, plan)) == {"saved": 8, "unconfirmed": 1}
        assert states(await run(server, tmp_path, plan, retry_failed=True)) == {"already_done": 8, "unconfirmed": 1}
        assert len(server.ledger.submissions) == 9


# --- failures of the account -----------------------------------------------------------------------------------------


async def test_an_empty_wallet_starts_nothing_more_saves_what_runs_and_the_next_run_continues(
    stock: Path, tmp_path: Path
) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("error_code", code="812", nth=4, times=None))
        async with opened(server, tmp_path, in_flight=2) as session:
            batch = session.batch(plan, tmp_path / "out")
            outcomes = [outcome async for outcome in batch]
            assert isinstance(batch.stopped, BalanceExhausted)
        assert states(outcomes) == {"saved": 3, "rejected": 1, "skipped": 5}
        assert {outcome.cause for outcome in outcomes if outcome.error} == {"account"}
        assert len(server.ledger.submissions) == 4
        server.faults.clear()
        assert states(await run(server, tmp_path, plan)) == {"already_done": 3, "saved": 6}
        assert len(server.ledger.tasks) == 9


async def test_a_key_refused_in_mid_run_leaves_what_runs_to_the_next_run(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("error_code", route="query", code="806", nth=3, times=None))
        outcomes = await run(server, tmp_path, plan, options={"in_flight": 3})
        assert set(states(outcomes)) <= {"saved", "unconfirmed", "skipped"}
        assert len(outcomes) == 9
        assert all(outcome.cause == "account" for outcome in outcomes if outcome.error)
        server.faults.clear()
        assert set(states(await run(server, tmp_path, plan))) <= {"saved", "already_done"}
        assert len(server.ledger.tasks) == len(server.ledger.submissions) == 9


# --- transient failures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.0, 40.0, 100.0])
async def test_ten_minutes_without_a_network_are_waited_out_and_reported(
    stock: Path, tmp_path: Path, after: float
) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        asyncio.get_running_loop().call_later(after, server.refuse_connections, 600.0)
        async with opened(server, tmp_path, in_flight=2) as session:
            batch = session.batch(plan, tmp_path / "out")
            outcomes = [outcome async for outcome in batch]
            errors = batch.progress().errors
        assert states(outcomes) == {"saved": 9}
        assert len(server.ledger.tasks) == len(server.ledger.submissions) == 9
        assert each_file_was_uploaded_once(server)
    if after == 0.0:  # else nothing was to be sent meanwhile
        assert [group.kind for group in errors] == ["not sent"]


# --- failures of the disk --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
@pytest.mark.parametrize("good", [0, 5])
async def test_a_failing_disk_stops_saving_and_submitting_and_the_next_run_completes_the_plan(
    stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, good: int
) -> None:
    plan, whole = await product(stock), Path.replace
    left = good

    def replace(path: Path, target: Path) -> Path:
        nonlocal left
        if path.parent.name == "out":
            left -= 1
            if left < 0:
                raise OSError(number, os.strerror(number))
        return whole(path, target)

    async with Emulator(seed=1) as server:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", replace)
            async with opened(server, tmp_path, in_flight=3) as session:
                batch = session.batch(plan, tmp_path / "out")
                outcomes = [outcome async for outcome in batch]
                assert isinstance(batch.stopped, SaveError)
        ended = states(outcomes)
        assert (ended.get("saved", 0) > 0) == (good > 0)
        assert ended["save_failed"] >= 1
        assert ended["skipped"] >= 1
        assert sum(ended.values()) == 9
        accepted = len(server.ledger.tasks)
        assert accepted == ended.get("saved", 0) + ended["save_failed"]
        assert await _in_journal(server, tmp_path) == {
            task.task_id: SubmissionState.SAVED
            if any(task.task_id in name for name in videos(tmp_path))
            else SubmissionState.SETTLED
            for task in server.ledger.tasks
        }
        assert set(states(await run(server, tmp_path, plan))) <= {"saved", "already_done"}
        assert len(server.ledger.tasks) == len(server.ledger.submissions) == 9
    assert len(videos(tmp_path)) == 9
    assert not list((tmp_path / "out").glob(".*.part"))


async def _in_journal(server: Emulator, folder: Path) -> dict[TaskId | None, SubmissionState]:
    async with opened(server, folder) as session:
        services = session._lifetime.runtime
        assert services is not None
        assert services.journal is not None
        return {record.task_id: record.state for record in await services.journal.list_in_states(list(SubmissionState))}


async def test_an_output_folder_that_cannot_be_made_is_reported_before_the_first_submit(
    stock: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").touch()
    async with Emulator(seed=1) as server:
        with pytest.raises(SaveError, match="cannot be written"):
            await run(server, tmp_path, await product(stock))
        assert not server.ledger.submissions
        assert not server.ledger.uploads


# --- duplicates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", [True, False])
async def test_duplicates_are_submitted_once_and_hold_no_slot_while_entries_wait(tmp_path: Path, journal: bool) -> None:
    same = [ModelRequest("bench/motion", {"seed": 1})] * 200
    others = [ModelRequest("bench/motion", {"seed": number}) for number in range(2, 12)]
    async with Emulator(seed=1, run_time=100.0) as server:
        options: Any = {"journal": tmp_path / "journal.sqlite"} if journal else {}
        async with Session(server.api_key, base_url=server.url, in_flight=5, **options) as session:
            outcomes = [outcome async for outcome in session.batch(plan_of([*same, *others]), tmp_path / "out")]
        assert states(outcomes) == {"saved": 210}
        assert len(server.ledger.tasks) == 11
        starts = [task.created_at for task in server.ledger.tasks]
        assert max(starts) - min(starts) < 250.0  # eleven jobs, five at once, a hundred seconds each
    duplicates = [outcome for outcome in outcomes if outcome.duplicate_of is not None]
    assert len(duplicates) == 199
    assert {outcome.duplicate_of for outcome in duplicates} == {1}
    assert len({outcome.task_id for outcome in duplicates}) == 1
    assert sum(line["money"] is not None for line in lines(tmp_path)) == 11


async def test_a_copy_of_a_file_is_the_same_job(stock: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes((stock / "clip1.mp4").read_bytes())
    requests = [DreamActor(stock / "hero0.png", clip) for clip in (stock / "clip1.mp4", copy)]
    async with Emulator(seed=1) as server:
        assert states(await run(server, tmp_path, plan_of(requests))) == {"saved": 2}
        assert len(server.ledger.tasks) == 1


# --- leaving, and reading slowly -------------------------------------------------------------------------------------


async def test_nothing_starts_before_the_first_outcome_is_read(stock: Path, tmp_path: Path) -> None:
    async with Emulator(seed=1) as server, opened(server, tmp_path) as session:
        batch = session.batch(await product(stock), tmp_path / "out")
        await asyncio.sleep(60)
        assert server.ledger.uploads == []
        assert batch.progress().waiting == batch.progress().planned == 9
        await batch.aclose()
        assert await _read(batch) == []


async def test_a_loop_that_is_left_starts_nothing_more(stock: Path, tmp_path: Path) -> None:
    async with Emulator(seed=1) as server, opened(server, tmp_path, in_flight=2) as session:
        async for outcome in session.batch(await product(stock), tmp_path / "out"):
            assert outcome.state == "saved"
            break
        await asyncio.sleep(1)
        submitted = len(server.ledger.submissions)
        await asyncio.sleep(3600)
        assert len(server.ledger.submissions) == submitted <= 4


async def test_a_session_that_ends_first_is_reported(stock: Path, tmp_path: Path) -> None:
    async with Emulator(seed=1) as server:
        async with opened(server, tmp_path, in_flight=2) as session:
            outcomes = aiter(session.batch(await product(stock), tmp_path / "out"))
            assert (await anext(outcomes)).state == "saved"
        with pytest.raises(SessionError):
            while True:
                await anext(outcomes)


async def test_unread_outcomes_hold_back_submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rh_async._batch.running.batch_runner._MOST_UNREAD", 20)
    plan = plan_of(ModelRequest("bench/motion", {"seed": number}) for number in range(200))
    async with Emulator(seed=1, run_time=1.0) as server, opened(server, tmp_path, in_flight=10) as session:
        outcomes = aiter(session.batch(plan, tmp_path / "out"))
        await anext(outcomes)
        await asyncio.sleep(7200)
        assert len(server.ledger.tasks) <= 1 + 20 + 64 + 10 + 8


# --- progress --------------------------------------------------------------------------------------------------------


async def test_the_counts_of_the_progress_add_up_at_any_moment(stock: Path, tmp_path: Path) -> None:
    async with Emulator(seed=1) as server, opened(server, tmp_path, in_flight=3) as session:
        batch = session.batch(await product(stock), tmp_path / "out")
        snapshots = []
        reading = asyncio.create_task(_read(batch))
        while not reading.done():
            await asyncio.sleep(5)
            snapshots.append(batch.progress())
    for it in snapshots:
        ended = it.saved + it.already_done + it.failed + it.rejected + it.unconfirmed + it.save_failed + it.skipped
        assert it.waiting + it.uploading + it.in_flight + it.saving + ended == it.planned == 9
        assert it.in_flight <= 3
        assert len(it.longest_running) == it.in_flight
    full = next(it for it in snapshots if it.in_flight == 3)
    assert "clip" in full.longest_running[0].name
    assert full.time_left is not None
    low, middle, high = full.time_left
    assert 0 <= low < middle < high
    last = snapshots[-1]
    assert last.saved == 9
    assert last.uploaded_bytes == sum(upload.size for upload in server.ledger.uploads)
    assert last.downloaded_bytes > 0
    assert last.polls >= 9
