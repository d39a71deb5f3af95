"""One submission is bought once: by its key, in this session, in the next, and beside another."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from rh_async import ApiError, DreamActor, Job, KlingMotionControl, ModelRequest, PollingPolicy, Session, SubmitUnknown
from rh_async.emulator import Emulator, Fault
from rh_async.errors import JobFailed, KeyConflict, SessionError
from tests.session.conftest import Media

pytestmark = pytest.mark.quick

Open = Callable[..., Session]
LINKED = DreamActor("https://example.test/hero.png", "https://example.test/dance.mp4")


@pytest.fixture
def open_session(server: Emulator, journal_path: Path) -> Open:
    return lambda **more: Session(server.api_key, base_url=server.url, journal=journal_path, **more)


async def test_the_same_inputs_are_bought_once_in_one_session(
    open_session: Open, server: Emulator, media: Media, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(media.videos[0].read_bytes())
    async with open_session() as session:
        jobs = [session.submit_nowait(DreamActor(media.images[0], [media.videos[0], copy][n % 2])) for n in range(20)]
        results = [await job for job in jobs]
    assert len({result.task_id for result in results}) == 1
    assert len(server.ledger.submissions) == 1
    assert len({job.key for job in jobs}) == 1


@pytest.mark.parametrize("journal", [False, True], ids=["no journal", "journal"])
async def test_a_key_bought_again_twice_at_once_is_bought_once_more(
    journal: bool, open_session: Open, server: Emulator
) -> None:
    async with open_session() if journal else Session(server.api_key, base_url=server.url) as session:
        first = await session.submit(LINKED, idempotency_key="clip")
        again = [session.submit_nowait(LINKED, idempotency_key="clip", resubmit=True) for _ in range(5)]
        (second,) = {(await job).task_id for job in again}
        assert second != first.task_id
    assert len(server.ledger.submissions) == 2


async def test_the_same_inputs_to_another_model_are_another_purchase_and_in_another_order_the_same(
    open_session: Open, server: Emulator
) -> None:
    async with open_session() as session:
        jobs = [
            session.submit_nowait(ModelRequest(model, parameters))
            for model in ("own/one", "own/two")
            for parameters in ({"prompt": "x", "seed": 1}, {"seed": 1, "prompt": "x"})
        ]
        one, same, two, same_two = [(await job).task_id for job in jobs]
    assert (one, two) == (same, same_two)
    assert one != two
    assert [submission.endpoint for submission in server.ledger.submissions] == ["own/one", "own/two"]


async def test_a_settled_key_is_not_bought_again_in_the_next_session(
    open_session: Open, server: Emulator, media: Media
) -> None:
    async with open_session() as session:
        first = await session.run(DreamActor(media.images[0], media.videos[0]))
    uploads = len(server.ledger.uploads)
    async with open_session() as session:
        job = await session.submit(DreamActor(media.images[0], media.videos[0]))
        second = await job
    assert (second.task_id, second.outputs, second.usage) == (first.task_id, first.outputs, first.usage)
    assert second.submitted_utc == first.submitted_utc
    assert len(server.ledger.submissions) == 1
    assert len(server.ledger.uploads) == uploads


async def test_a_running_job_of_a_dead_session_is_watched_again_not_bought_again(
    open_session: Open, server: Emulator
) -> None:
    async with open_session() as session:
        job = await session.submit(LINKED)
    async with open_session() as session:
        again = await session.submit(LINKED)
        assert again.task_id == job.task_id
        assert (await again).task_id == job.task_id
    assert len(server.ledger.submissions) == 1


async def test_two_live_sessions_share_one_purchase_and_only_its_owner_asks(
    open_session: Open, server: Emulator
) -> None:
    async with open_session() as one, open_session() as two:
        mine = await one.submit(LINKED)
        asked = len(server.ledger.calls)
        theirs = two.submit_nowait(LINKED)
        assert (await theirs).task_id == mine.task_id
        assert (await mine).task_id == mine.task_id
        about = [question.task_id for question in server.ledger.calls[asked:]]
    assert len(server.ledger.submissions) == 1
    assert len(about) <= 70  # one poller's, of an unknown model; not two


async def test_two_keys_of_ones_own_are_two_jobs_whatever_they_ask_for(open_session: Open, server: Emulator) -> None:
    async with open_session() as session:
        first = await session.run(LINKED, idempotency_key="clip 1")
        second = await session.run(LINKED, idempotency_key="clip 2")
    assert first.task_id != second.task_id
    assert len(server.ledger.submissions) == 2


async def test_a_job_that_follows_another_sessions_shows_that_ones_task_and_status_and_ends_like_it(
    server: Emulator, open_session: Open
) -> None:
    server.faults.add(Fault("slow_response", route="submit", seconds=5))
    async with open_session() as one, open_session() as two:
        mine = one.submit_nowait(LINKED)
        await asyncio.sleep(1)
        theirs = two.submit_nowait(LINKED)
        assert await theirs.accepted() == server.ledger.tasks[0].task_id
        assert not mine.done
        assert await _statuses(theirs) == ["RUNNING", "SUCCESS"]
        result = await theirs
        assert (theirs.status, theirs.submitted_utc) == ("SUCCESS", mine.submitted_utc)
        assert evolve(result, noticed_utc=(await mine).noticed_utc) == await mine
    assert len(server.ledger.submissions) == 1


async def test_a_job_that_waits_for_another_session_shows_its_status_changes(
    server: Emulator, open_session: Open
) -> None:
    server.faults.add(Fault("unknown_status", task_status="PAUSED", responses=40))
    async with open_session() as one, open_session() as two:
        mine = await one.submit(LINKED)
        jobs = [two.submit_nowait(LINKED), one.submit_nowait(LINKED)]
        seen = await asyncio.gather(*(_statuses(job) for job in (mine, *jobs)))
        assert seen[0] == seen[1] == seen[2] == ["RUNNING", "PAUSED", "SUCCESS"]
    assert len(server.ledger.submissions) == 1


async def _statuses(job: Job) -> list[str]:
    return [snapshot.status async for snapshot in job.status_updates()]


@pytest.mark.parametrize("how", ["given up", "closed"])
async def test_a_cancelled_duplicate_returns_at_once_and_leaves_the_primary_alone(
    how: str, server: Emulator, open_session: Open
) -> None:
    async with open_session() as one:
        mine = await one.submit(LINKED)
        async with open_session(on_exit="cancel") as two:
            theirs = two.submit_nowait(LINKED)
            await theirs.accepted()
            if how == "given up":
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(two.run(LINKED), 1)
        with pytest.raises(SessionError) as caught:
            await theirs
        assert caught.value.task_id == mine.task_id
        assert (await mine).outputs
    assert [question.kind for question in server.ledger.calls].count("cancel") == 0
    assert len(server.ledger.submissions) == 1


async def test_the_same_job_twice_knows_when_it_was_submitted(server: Emulator, open_session: Open) -> None:
    async with open_session() as session:
        first, second = session.submit_nowait(LINKED), session.submit_nowait(LINKED)
        await second.accepted()
        assert second.submitted_utc is not None
        assert second.submitted_utc == first.submitted_utc
        await first
        third = session.submit_nowait(LINKED)
        assert (await third).submitted_utc == third.submitted_utc == first.submitted_utc
    assert len(server.ledger.submissions) == 1


async def test_resubmit_buys_once_more_and_overwrites_nothing(open_session: Open, server: Emulator) -> None:
    async with open_session() as session:
        first = await session.run(LINKED, idempotency_key="clip")
        second = await session.run(LINKED, idempotency_key="clip", resubmit=True)
        third = await session.run(LINKED, idempotency_key="clip")
        assert session._lifetime.runtime is not None
        journal = session._lifetime.runtime.journal
        assert journal is not None
        records = [await journal.find_by_task(result.task_id) for result in (first, second)]
    assert [record.attempt for record in records if record] == [1, 2]
    assert third.task_id == second.task_id != first.task_id
    assert len(server.ledger.submissions) == 2


async def test_without_a_journal_a_key_counts_while_its_job_lives(server: Emulator) -> None:
    async with Session(server.api_key, base_url=server.url) as session:
        jobs = [session.submit_nowait(LINKED, idempotency_key="clip") for _ in range(5)]
        assert len({(await job).task_id for job in jobs}) == 1
        assert len(server.ledger.submissions) == 1
        await session.run(LINKED, idempotency_key="clip")
        assert len(server.ledger.submissions) == 2
        await asyncio.gather(session.submit(LINKED), session.submit(LINKED))
    assert len(server.ledger.submissions) == 4


async def test_a_row_of_another_api_key_is_refused_not_bought_again(
    open_session: Open, server: Emulator, journal_path: Path
) -> None:
    async with open_session() as session:
        await session.run(LINKED, idempotency_key="clip")
    async with Session("f" * 32, base_url=server.url, journal=journal_path) as other:
        with pytest.raises(KeyConflict, match="under another API key"):
            await other.run(LINKED, idempotency_key="clip")
    assert len(server.ledger.submissions) == 1


async def test_what_the_server_refused_may_be_tried_again(open_session: Open, server: Emulator) -> None:
    server.faults.add(Fault("error_code", code="812"))
    async with open_session() as session:
        with pytest.raises(Exception, match="812"):
            await session.run(LINKED, idempotency_key="clip")
        assert (await session.run(LINKED, idempotency_key="clip")).outputs
    assert len(server.ledger.tasks) == 1


async def test_a_failed_job_is_not_bought_again_unless_asked(open_session: Open, server: Emulator) -> None:
    server.faults.add(Fault("moderation"))
    async with open_session() as session:
        with pytest.raises(JobFailed):
            await session.run(LINKED)
    async with open_session() as session:
        with pytest.raises(JobFailed, match="1501"):
            await session.run(LINKED)
        assert len(server.ledger.submissions) == 1
        assert (await session.run(LINKED, resubmit=True)).outputs
    assert len(server.ledger.submissions) == 2


async def test_an_uncertain_submit_is_never_sent_again_on_its_own(open_session: Open, server: Emulator) -> None:
    server.faults.add(Fault("drop_after_accept"))
    async with open_session() as session:
        with pytest.raises(SubmitUnknown):
            await session.run(LINKED, idempotency_key="clip")
        with pytest.raises(SubmitUnknown, match=r"recovery\.confirm"):
            await session.run(LINKED, idempotency_key="clip")
    async with open_session() as session:
        with pytest.raises(SubmitUnknown) as caught:
            await session.run(LINKED, idempotency_key="clip")
        assert caught.value.key == "clip"
        assert [record.key for record in await session.recovery.unconfirmed()] == ["clip"]
    assert len(server.ledger.submissions) == 1


async def test_an_undocumented_error_code_is_uncertain_and_not_sent_again(open_session: Open, server: Emulator) -> None:
    server.faults.add(Fault("error_code", code="4242"))
    async with open_session() as session:
        with pytest.raises(ApiError, match="4242") as caught:
            await session.run(LINKED, idempotency_key="clip")
        assert caught.value.maybe_billed
        assert caught.value.key == "clip"
        with pytest.raises(SubmitUnknown):
            await session.run(LINKED, idempotency_key="clip")
    assert len(server.ledger.submissions) == 1


@pytest.mark.parametrize("how", ["timeout", "wait_for", "wait_for run", "wait_for task"])
async def test_a_time_out_has_the_note_that_names_the_job_on_its_cause(how: str, open_session: Open) -> None:
    async with open_session() as session:
        job = await session.submit(LINKED, idempotency_key="clip 7")
        with pytest.raises(TimeoutError) as caught:
            if how == "timeout":
                async with asyncio.timeout(1):
                    await job
            elif how == "wait_for run":
                await asyncio.wait_for(session.run(LINKED, idempotency_key="clip 7"), 1)
            else:
                await asyncio.wait_for(job if how == "wait_for" else asyncio.ensure_future(job), 1)
    assert caught.value.__cause__ is not None
    assert f"task {job.task_id}, key clip 7" in "".join(caught.value.__cause__.__notes__)
    assert "goes on." in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("sent", [False, True])
async def test_a_time_out_says_whether_what_it_took_back_is_paid(
    sent: bool, open_session: Open, server: Emulator, media: Media
) -> None:
    server.faults.add(Fault("slow_response", route="submit" if sent else "upload", seconds=30, times=None))
    async with open_session() as session:
        with pytest.raises(TimeoutError) as caught:
            await asyncio.wait_for(session.run(DreamActor(media.images[0], media.videos[0])), 10)
    assert caught.value.__cause__ is not None
    assert ("nothing is paid" in "".join(caught.value.__cause__.__notes__)) is not sent
    assert len(server.ledger.submissions) == sent


async def test_fifty_jobs_at_once_share_their_commits(journal_path: Path, media: Media) -> None:
    eager = PollingPolicy(polls_per_second=10_000, max_open_polls=50, queue_counters=False)
    async with (
        Emulator(seed=1, run_time=60.0) as server,
        Session(server.api_key, base_url=server.url, journal=journal_path, in_flight=50, polling=eager) as session,
    ):
        requests = [KlingMotionControl(media.images[n % 3], media.videos[n % 3], prompt=str(n)) for n in range(50)]
        async for outcome in session.map(requests):
            assert outcome.result
        assert session._lifetime.runtime is not None
        journal = session._lifetime.runtime.journal
        assert journal is not None
        assert journal.changes >= 50 * 4
        assert journal.changes >= 5 * journal.commits
    assert len(server.ledger.tasks) == 50
