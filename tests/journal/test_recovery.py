"""Coming back, deciding about the uncertain, and stopping: nothing is bought again, and nothing bought is forgotten."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import TraceConfig, TraceRequestStartParams
from attrs import evolve

from rh_async import DreamActor, JournalError, ModelRequest, SaveError, Session, SubmitUnknown
from rh_async._journal.records import SubmissionState
from rh_async.emulator import Emulator, Fault
from rh_async.errors import JobCancelled, JobFailed, NotFound, SessionError
from tests.journal.killing import SessionKiller, bury, rows_of
from tests.session.conftest import Media

Open = Callable[..., Session]
LINKED = DreamActor("https://example.test/hero.png", "https://example.test/dance.mp4")
A_DAY = 25 * 3600.0


@pytest.fixture
async def server() -> AsyncIterator[Emulator]:
    async with Emulator(seed=1, run_time=20.0) as server:
        yield server


@pytest.fixture
def open_session(server: Emulator, journal_path: Path) -> Open:
    def opened(**more: Any) -> Session:
        return Session(more.pop("api_key", server.api_key), base_url=server.url, journal=journal_path, **more)

    return opened


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> SessionKiller:
    killer = SessionKiller()
    killer.watch(monkeypatch)
    return killer


async def killed_after(move: str, session: Session, killer: SessionKiller, key: str = "clip", **more: Any) -> None:
    """Run one job, and be killed once a move is durable."""
    await session.__aenter__()
    killer.aim(session, 1, after=True, move=move)
    running = asyncio.ensure_future(session.run(LINKED, idempotency_key=key, **more))
    await killer.died.wait()
    running.cancel()
    await asyncio.wait([running])
    await bury(session)


async def left_uncertain(server: Emulator, session: Session, key: str = "clip") -> str:
    """Submit one job whose answer is lost; the task it made."""
    server.faults.add(Fault("drop_after_accept"))
    async with session:
        with pytest.raises(SubmitUnknown):
            await session.run(LINKED, idempotency_key=key)
    return server.ledger.tasks[-1].task_id


def states(journal_path: Path) -> list[SubmissionState]:
    return [row.state for row in rows_of(journal_path)]


# --- resume ----------------------------------------------------------------------------------------------------------


async def test_a_submitted_job_is_watched_again_and_nothing_is_submitted(
    open_session: Open, server: Emulator, killer: SessionKiller, journal_path: Path
) -> None:
    await killed_after("→submitted", open_session(), killer)
    async with open_session() as session:
        resumed = await session.recovery.resume()
        (job,) = resumed.jobs
        assert (job.key, job.task_id) == ("clip", server.ledger.tasks[0].task_id)
        assert (await job).outputs
        assert (resumed.saved, resumed.failed, resumed.unconfirmed) == ((), (), ())
    assert states(journal_path) == [SubmissionState.SETTLED]
    assert len(server.ledger.submissions) == 1


@pytest.mark.parametrize("wanted", [None, "wanted"])
async def test_what_still_ran_is_saved_when_it_ends_where_it_was_wanted(
    wanted: str | None, open_session: Open, killer: SessionKiller, server: Emulator, journal_path: Path, tmp_path: Path
) -> None:
    folder: dict[str, Any] = {} if wanted is None else {"output_dir": tmp_path / wanted}
    await killed_after("→submitted", open_session(), killer, **folder)
    async with open_session() as session:
        (job,) = (await session.recovery.resume(output_dir=tmp_path / "given")).jobs
        result = await job
        assert [path.parent.name for path in result.paths] == [wanted or "given"]
        assert result.paths[0].stat().st_size
        assert states(journal_path) == [SubmissionState.SAVED]
    assert len(server.ledger.downloads) == len(server.ledger.submissions) == 1


async def test_a_running_job_whose_output_cannot_be_saved_reports_it_and_is_saved_later(
    open_session: Open, killer: SessionKiller, server: Emulator, journal_path: Path, tmp_path: Path
) -> None:
    await killed_after("→submitted", open_session(), killer)
    (tmp_path / "file").touch()
    async with open_session() as session:
        (job,) = (await session.recovery.resume(output_dir=tmp_path / "file")).jobs
        with pytest.raises(SaveError):
            await job
        assert states(journal_path) == [SubmissionState.SETTLED]
    async with open_session() as session:
        assert (await session.recovery.resume(output_dir=tmp_path / "out")).saved
    assert len(server.ledger.submissions) == 1


@pytest.mark.parametrize("on_exit", ["detach", "drain"])
async def test_a_session_that_is_left_while_it_saves_ends_the_job_and_loses_nothing(
    on_exit: str, open_session: Open, killer: SessionKiller, server: Emulator, journal_path: Path, tmp_path: Path
) -> None:
    await killed_after("→submitted", open_session(), killer)
    server.faults.add(Fault("slow_response", route="download", seconds=30))
    async with open_session(on_exit=on_exit) as session:
        (job,) = (await session.recovery.resume(output_dir=tmp_path / "out")).jobs
        while not server.ledger.faults:  # noqa: ASYNC110 - a ledger rings no bell
            await asyncio.sleep(1)
        assert not job.done
    assert type(job.error) is (SessionError if on_exit == "detach" else type(None))
    async with open_session() as session:
        assert len((await session.recovery.resume(output_dir=tmp_path / "out")).saved) == (on_exit == "detach")
    assert states(journal_path) == [SubmissionState.SAVED]
    assert len(server.ledger.submissions) == 1


async def test_a_key_taken_up_again_without_resume_is_settled_in_the_journal_too(
    open_session: Open, server: Emulator, killer: SessionKiller, journal_path: Path, tmp_path: Path
) -> None:
    await killed_after("→submitted", open_session(), killer)
    async with open_session() as session:
        result = await session.run(LINKED, idempotency_key="clip", output_dir=tmp_path / "out")
    assert result.task_id == server.ledger.tasks[0].task_id
    assert states(journal_path) == [SubmissionState.SAVED]
    assert len(server.ledger.submissions) == 1


async def test_a_key_taken_up_again_may_be_asked_for_twice_in_that_session(
    open_session: Open, server: Emulator, killer: SessionKiller
) -> None:
    await killed_after("→submitted", open_session(), killer)
    async with open_session() as session, asyncio.timeout(3600):
        first = await session.submit(LINKED, idempotency_key="clip")
        second = await session.submit(LINKED, idempotency_key="clip")
        assert (await first).task_id == (await second).task_id
    assert len(server.ledger.submissions) == 1


async def test_what_is_settled_and_not_saved_is_saved_where_it_was_wanted(
    open_session: Open, server: Emulator, killer: SessionKiller, journal_path: Path, tmp_path: Path
) -> None:
    await killed_after("→settled", open_session(), killer, output_dir=tmp_path / "wanted")
    async with open_session() as session:
        (result,) = (await session.recovery.resume(output_dir=tmp_path / "elsewhere")).saved
    assert [path.parent.name for path in result.paths] == ["wanted"]
    assert all(path.stat().st_size for path in result.paths)
    assert states(journal_path) == [SubmissionState.SAVED]
    assert len(server.ledger.submissions) == 1


async def test_an_output_without_a_folder_is_saved_where_resume_says_or_not_at_all(
    open_session: Open, server: Emulator, killer: SessionKiller, journal_path: Path, tmp_path: Path
) -> None:
    await killed_after("→settled", open_session(), killer)
    async with open_session() as session:
        assert (await session.recovery.resume()).saved == ()
        assert states(journal_path) == [SubmissionState.SETTLED]
        (result,) = (await session.recovery.resume(output_dir=tmp_path / "out")).saved
    assert result.paths[0].exists()
    assert len(server.ledger.submissions) == 1


async def test_a_settled_result_is_saved_by_a_fresh_link_when_its_own_has_expired(
    open_session: Open, server: Emulator, killer: SessionKiller, tmp_path: Path
) -> None:
    await killed_after("→settled", open_session(), killer)
    await asyncio.sleep(A_DAY)
    async with open_session() as session:
        (result,) = (await session.recovery.resume(output_dir=tmp_path / "out")).saved
    assert result.paths[0].stat().st_size
    assert [download.status for download in server.ledger.downloads] == [403, 200]
    assert len(server.ledger.submissions) == 1


async def test_a_result_that_the_server_has_forgotten_is_reported_and_stays_settled(
    open_session: Open, server: Emulator, killer: SessionKiller, journal_path: Path, tmp_path: Path
) -> None:
    await killed_after("→settled", open_session(), killer)
    await asyncio.sleep(A_DAY)
    server.faults.add(Fault("error_code", route="query", code="1004", times=None))
    async with open_session() as session:
        resumed = await session.recovery.resume(output_dir=tmp_path / "out")
    ((record, error),) = resumed.failed
    assert (record.key, type(error)) == ("clip", NotFound)
    assert states(journal_path) == [SubmissionState.SETTLED]
    assert len(server.ledger.submissions) == 1


async def test_an_open_post_of_a_dead_session_is_uncertain_and_not_sent_again(
    open_session: Open, server: Emulator, killer: SessionKiller, journal_path: Path
) -> None:
    await killed_after("→submitting", open_session(), killer)
    async with open_session() as session:
        resumed = await session.recovery.resume()
        assert [record.key for record in resumed.unconfirmed] == ["clip"]
        (record,) = await session.recovery.unconfirmed()
        assert (record.endpoint, record.claimed_utc > "2") == (LINKED.endpoint, True)
        assert "hero.png" in record.inputs
        with pytest.raises(SubmitUnknown):
            await session.run(LINKED, idempotency_key="clip")
    assert states(journal_path) == [SubmissionState.UNCERTAIN]
    assert server.ledger.submissions == []


async def test_what_a_live_session_carries_is_left_to_it(
    open_session: Open, server: Emulator, journal_path: Path
) -> None:
    async with open_session() as one, open_session() as two:
        job = await one.submit(LINKED, idempotency_key="clip")
        resumed = await two.recovery.resume()
        assert (resumed.jobs, resumed.unconfirmed) == ((), ())
        assert [(record.key, pid) for record, pid in resumed.held] == [("clip", os.getpid())]
        assert (await one.recovery.resume()).held == ()  # its own
        assert (await job).outputs
        assert (await two.recovery.resume()).held == ()
    assert len(server.ledger.submissions) == 1


async def test_what_another_api_key_bought_is_neither_asked_about_nor_given_up(
    open_session: Open, server: Emulator, killer: SessionKiller, journal_path: Path
) -> None:
    await killed_after("→submitted", open_session(), killer)
    async with open_session(api_key=server.keys["NORMAL"]) as session:
        await session.recovery.resume()
        await asyncio.sleep(300)
    assert states(journal_path) == [SubmissionState.SUBMITTED]
    async with open_session() as session:
        assert (await session.run(LINKED, idempotency_key="clip")).task_id == server.ledger.tasks[0].task_id
    assert len(server.ledger.submissions) == 1


async def test_coming_back_needs_a_journal(server: Emulator) -> None:
    async with Session(server.api_key, base_url=server.url) as session:
        with pytest.raises(SessionError, match="no journal"):
            await session.recovery.resume()
    assert server.ledger.submissions == []


async def test_two_sessions_may_save_one_result_at_once(
    open_session: Open, server: Emulator, journal_path: Path, tmp_path: Path
) -> None:
    async with open_session() as one, open_session() as two:
        result = await one.run(LINKED, idempotency_key="clip")
        for name in ("at once", "and later"):
            saved = await asyncio.gather(*(session.save(result, tmp_path / name) for session in (one, two)))
            assert saved[0] == saved[1]
    assert states(journal_path) == [SubmissionState.SAVED]
    assert len(server.ledger.submissions) == 1


# --- the uncertain ---------------------------------------------------------------------------------------------------


async def test_confirm_adopts_a_task_after_asking_the_server(
    open_session: Open, server: Emulator, journal_path: Path
) -> None:
    task_id = await left_uncertain(server, open_session())
    asked = len(server.ledger.calls)
    async with open_session() as session:
        job = await session.recovery.confirm("clip", task_id=task_id)
        assert server.ledger.calls[asked].task_id == task_id
        assert (await job).task_id == task_id
        assert (await session.run(LINKED, idempotency_key="clip")).task_id == task_id
        assert await session.recovery.unconfirmed() == ()
    assert states(journal_path) == [SubmissionState.SETTLED]
    assert len(server.ledger.submissions) == 1


async def test_confirm_refuses_a_task_of_another_key_and_an_unknown_one(
    open_session: Open, server: Emulator, journal_path: Path
) -> None:
    await left_uncertain(server, open_session())
    async with open_session() as session:
        other = await session.run(LINKED, idempotency_key="other")
        with pytest.raises(JournalError, match="belongs to other"):
            await session.recovery.confirm("clip", task_id=other.task_id)
        with pytest.raises(NotFound):
            await session.recovery.confirm("clip", task_id="123")
        with pytest.raises(JournalError, match="not uncertain"):
            await session.recovery.confirm("other", task_id="123")
        with pytest.raises(JournalError, match="unknown here"):
            await session.recovery.confirm("unknown", task_id="123")
    assert states(journal_path) == [SubmissionState.UNCERTAIN, SubmissionState.SETTLED]
    assert len(server.ledger.submissions) == 2


async def test_a_discarded_submission_may_be_submitted_again(
    open_session: Open, server: Emulator, journal_path: Path
) -> None:
    await left_uncertain(server, open_session())
    async with open_session() as session:
        await session.recovery.discard("clip")
        with pytest.raises(JournalError, match="not uncertain"):
            await session.recovery.discard("clip")
        assert (await session.run(LINKED, idempotency_key="clip")).outputs
    assert states(journal_path) == [SubmissionState.ABANDONED, SubmissionState.SETTLED]
    assert len(server.ledger.submissions) == 2


async def test_an_uncertain_submit_may_be_paid_again_knowingly(
    open_session: Open, server: Emulator, journal_path: Path
) -> None:
    await left_uncertain(server, open_session())
    async with open_session() as session:
        assert (await session.run(LINKED, idempotency_key="clip", resubmit=True)).outputs
    assert states(journal_path) == [SubmissionState.UNCERTAIN, SubmissionState.SETTLED]
    assert len(server.ledger.submissions) == 2


async def test_a_delivery_adopts_by_the_token_that_travelled_and_by_no_other(
    open_session: Open, server: Emulator, journal_path: Path
) -> None:
    server.faults.add(Fault("drop_after_accept"))
    hooked = evolve(LINKED, webhook_url="https://mine.test/hook?a=1")
    async with open_session() as session:
        with pytest.raises(SubmitUnknown):
            await session.run(hooked, idempotency_key="clip")
        sent = server.ledger.submissions[0].body["webhookUrl"]
        address, _, nonce = sent.partition("&rh_nonce=")
        assert (address, len(nonce) >= 16, server.api_key in sent) == ("https://mine.test/hook?a=1", True, False)
        assert session._lifetime.runtime is not None
        recovery, (task,) = session._lifetime.runtime.services.recovery, server.ledger.tasks
        asked = len(server.ledger.calls)
        for wrong in ("", "0" * 32, nonce[:-1]):
            assert await recovery.adopt_delivery(task_id=task.task_id, webhook_token=wrong) is None  # type: ignore[arg-type]
        assert len(server.ledger.calls) == asked
        assert states(journal_path) == [SubmissionState.UNCERTAIN]
        job = await recovery.adopt_delivery(task.task_id, nonce)  # type: ignore[arg-type]
        assert server.ledger.calls[asked].task_id == task.task_id
        assert job is not None
        assert (await job).task_id == task.task_id
        assert await recovery.adopt_delivery(task.task_id, nonce) is None  # type: ignore[arg-type]
    assert len(server.ledger.submissions) == 1


# --- stopping --------------------------------------------------------------------------------------------------------


async def test_a_running_job_is_cancelled_and_says_so_by_its_key_ever_after(
    open_session: Open, server: Emulator, journal_path: Path
) -> None:
    async with open_session() as session:
        job = await session.submit(LINKED, idempotency_key="clip")
        told = await job.cancel()
        with pytest.raises(JobCancelled):
            await job
        assert told is not None
        assert (told.task_id, told.status) == (job.task_id, "CANCEL")
        assert await job.cancel() == told  # it was over already: nothing is asked
    async with open_session() as session:
        with pytest.raises(JobCancelled):
            await session.run(LINKED, idempotency_key="clip")
    assert [question.kind for question in server.ledger.calls].count("cancel") == 1
    assert states(journal_path) == [SubmissionState.SETTLED]
    assert len(server.ledger.submissions) == 1


async def test_cancelling_what_is_over_delivers_its_result(open_session: Open, server: Emulator) -> None:
    server.faults.add(Fault("hang", route="query", times=8))
    async with open_session() as session:
        job = await session.submit(LINKED, idempotency_key="clip")
        await asyncio.sleep(25)
        server.faults.clear()
        told = await job.cancel()
        assert (await job).outputs
        assert told is not None
        assert told.status == "SUCCESS"
    assert len(server.ledger.submissions) == 1


async def test_cancelling_an_unsent_job_withdraws_it_and_sends_nothing(
    open_session: Open, server: Emulator, media: Media
) -> None:
    async with open_session() as session:
        job = session.submit_nowait(DreamActor(media.images[0], media.videos[0]), idempotency_key="clip")
        assert await job.cancel() is None
        with pytest.raises(JobCancelled):
            await job
        assert await job.cancel() is None
    assert server.ledger.submissions == []


async def test_what_is_cancelled_while_it_connects_was_never_sent_and_leaves_no_row(
    server: Emulator, journal_path: Path
) -> None:
    connecting = asyncio.Event()

    async def hangs(_: object, __: object, params: TraceRequestStartParams) -> None:
        if params.url.path.endswith(LINKED.endpoint):
            connecting.set()
            await asyncio.Event().wait()

    trace = TraceConfig()
    trace.on_request_start.append(hangs)
    async with Session(server.api_key, base_url=server.url, journal=journal_path, trace_configs=[trace]) as session:
        job = session.submit_nowait(LINKED, idempotency_key="clip")
        await connecting.wait()
        assert [row.state for row in rows_of(journal_path)] == [SubmissionState.SUBMITTING]
        await job.cancel()
        with pytest.raises(JobCancelled) as caught:
            await job
        assert not caught.value.maybe_billed
    assert rows_of(journal_path) == []
    assert server.ledger.submissions == []


async def test_cancelling_an_unknown_task_says_so(open_session: Open, server: Emulator) -> None:
    async with open_session() as session:
        with pytest.raises(NotFound):
            await session.attach("123").cancel()
    assert server.ledger.submissions == []


@pytest.mark.parametrize(
    ("on_exit", "status", "left"),
    [
        ("detach", "SUCCESS", SubmissionState.SUBMITTED),
        ("drain", "SUCCESS", SubmissionState.SETTLED),
        ("cancel", "CANCEL", SubmissionState.SETTLED),
    ],
)
async def test_leaving_a_session_detaches_cancels_or_drains_as_asked(
    on_exit: str, status: str, left: SubmissionState, open_session: Open, server: Emulator, journal_path: Path
) -> None:
    async with open_session(on_exit=on_exit) as session:
        jobs = [await session.submit(LINKED, idempotency_key=f"clip {n}") for n in range(3)]
    assert states(journal_path) == [left] * 3
    assert [question.kind for question in server.ledger.calls].count("cancel") == 3 * (on_exit == "cancel")
    await asyncio.sleep(60)
    assert all(task.status.startswith(status) for task in server.ledger.tasks)
    assert [type(job.error) for job in jobs] == [
        {"detach": SessionError, "drain": type(None), "cancel": JobCancelled}[on_exit]
    ] * 3
    assert len(server.ledger.submissions) == 3


# --- afterwards ------------------------------------------------------------------------------------------------------


async def test_a_result_stays_readable_by_its_key_after_its_links_have_expired(
    open_session: Open, server: Emulator, tmp_path: Path
) -> None:
    async with open_session() as session:
        first = await session.run(LINKED, idempotency_key="clip")
    await asyncio.sleep(A_DAY)
    asked = len(server.ledger.calls)
    async with open_session() as session:
        second = await session.run(LINKED, idempotency_key="clip")
        assert evolve(second, noticed_utc=first.noticed_utc) == first
        assert len(server.ledger.calls) == asked
        assert (await session.save(second, tmp_path / "out"))[0].stat().st_size
    assert len(server.ledger.submissions) == 1


async def test_a_failure_stays_readable_by_its_key_with_its_code(open_session: Open, server: Emulator) -> None:
    server.faults.add(Fault("moderation"))
    for _ in range(2):
        async with open_session() as session:
            with pytest.raises(JobFailed) as caught:
                await session.run(LINKED, idempotency_key="clip")
            assert caught.value.code == "1501"
            assert caught.value.task_id == server.ledger.tasks[0].task_id
    assert len(server.ledger.submissions) == 1


async def test_two_sessions_may_come_back_at_once_and_share_what_was_left(open_session: Open, server: Emulator) -> None:
    async with open_session() as session:
        for number in range(20):
            await session.submit(LINKED, idempotency_key=str(number))
    async with open_session() as one, open_session() as two:
        both = await asyncio.gather(one.recovery.resume(), two.recovery.resume())
        jobs = [job for found in both for job in found.jobs]
        assert sorted(str(job.key) for job in jobs) == sorted(map(str, range(20)))
        for job in jobs:
            assert (await job).outputs
    assert len(server.ledger.submissions) == 20


async def test_a_session_left_by_cancelling_stops_also_what_is_only_being_sent(
    open_session: Open, server: Emulator
) -> None:
    server.faults.add(Fault("slow_response", route="submit", seconds=5))
    async with open_session(on_exit="cancel") as session:
        job = session.submit_nowait(LINKED)
        await asyncio.sleep(1)
    assert [task.status for task in server.ledger.tasks] == ["CANCEL"]
    assert isinstance(job.error, JobCancelled)
    assert job.task_id == server.ledger.tasks[0].task_id


async def test_what_an_earlier_session_left_running_takes_its_places(server: Emulator, journal_path: Path) -> None:
    requests = [ModelRequest("own/model", {"seed": n}) for n in range(8)]
    async with Session(server.api_key, base_url=server.url, journal=journal_path, in_flight=3) as session:
        for request in requests[:3]:
            await session.submit(request)
    async with Session(server.api_key, base_url=server.url, journal=journal_path, in_flight=3) as session:
        resumed = await session.recovery.resume()
        assert len(resumed.jobs) == 3
        outcomes = [outcome async for outcome in session.map(requests)]
    assert all(outcome.result for outcome in outcomes)
    assert len(server.ledger.tasks) == 8
    assert server.ledger.peak_unsettled() == 3


async def test_resumed_and_started_at_once_a_key_is_bought_once_and_both_have_its_result(
    server: Emulator, journal_path: Path
) -> None:
    requests = [ModelRequest("own/model", {"seed": n}) for n in range(6)]
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        for n, request in enumerate(requests):
            await session.submit(request, idempotency_key=f"k{n}")
    async with Session(server.api_key, base_url=server.url, journal=journal_path) as session:
        started = [session.submit_nowait(request, idempotency_key=f"k{n}") for n, request in enumerate(requests)]
        resumed = await session.recovery.resume()
        results = [await job for job in (*started, *resumed.jobs)]
    assert len(server.ledger.tasks) == 6
    assert {result.task_id for result in results} == {task.task_id for task in server.ledger.tasks}
