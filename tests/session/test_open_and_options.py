"""Opening and closing by call, views with options of their own, and the default webhook, judged by the ledger."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rh_async import DreamActor, ModelRequest, Session
from rh_async.batch import Entry, OutputNaming, Plan
from rh_async.emulator import Emulator, Fault
from rh_async.errors import ConfigurationError, InvalidRequestError, JobCancelled, SessionError

HOOK = "https://mine.test/hook"


def request(number: int = 1) -> DreamActor:
    return DreamActor("https://example.test/hero.png", f"https://example.test/dance{number}.mp4")


async def ended(job: object) -> BaseException | None:
    try:
        await job  # type: ignore[misc]
    except BaseException as error:  # noqa: BLE001 - returned
        return error
    return None


# --- open and aclose -------------------------------------------------------------------------------------------------


async def test_a_session_can_be_opened_and_closed_by_call_in_different_tasks(server: Emulator) -> None:
    session = await asyncio.create_task(Session(server.api_key, base_url=server.url).open())
    result = await session.run(request())
    await asyncio.create_task(session.aclose())
    assert result.outputs
    assert len(server.ledger.tasks) == 1
    with pytest.raises(SessionError, match="has ended"):
        session.submit_nowait(request())


async def test_a_session_is_opened_once_and_says_why_not_again(server: Emulator) -> None:
    session = await Session(server.api_key, base_url=server.url).open()
    with pytest.raises(SessionError, match="is open already"):
        await session.open()
    await session.aclose()
    with pytest.raises(SessionError, match="has been closed"):
        await session.open()


async def test_closing_twice_at_once_or_unopened_is_harmless(server: Emulator) -> None:
    session = Session(server.api_key, base_url=server.url)
    await session.aclose()
    await session.open()
    job = await session.submit(request())
    await asyncio.gather(session.aclose(), session.aclose())
    await session.aclose()
    assert isinstance(await ended(job), SessionError)
    assert len(server.ledger.tasks) == 1


async def test_a_session_that_is_not_open_says_how_to_open_it() -> None:
    with pytest.raises(SessionError, match=r"session\.open"):
        Session("k" * 32).submit_nowait(request())


async def test_closing_a_crashed_session_raises_the_crash_once(server: Emulator) -> None:
    session = await Session(server.api_key, base_url=server.url).open()
    job = await session.submit(request())
    assert session._lifetime.runtime is not None
    session._lifetime.runtime._host.cancel()
    assert "cancelled from outside" in str(await ended(job))
    with pytest.raises(SessionError, match="cancelled from outside"):
        await session.aclose()
    await session.aclose()


@pytest.mark.parametrize(("on_exit", "status"), [("cancel", "CANCEL"), ("drain", "SUCCESS")])
async def test_a_post_without_an_answer_yet_is_finished_and_its_task_treated_as_on_exit_says(
    on_exit: str, status: str, server: Emulator
) -> None:
    """Closing waits for the answer: only then is there a task that can be cancelled or waited for."""
    server.faults.add(Fault("slow_response"))
    async with Session(server.api_key, base_url=server.url, on_exit=on_exit) as session:  # type: ignore[arg-type]
        job = session.submit_nowait(request())
        while not server.ledger.submissions:  # noqa: ASYNC110 - a ledger signals nothing
            await asyncio.sleep(0.1)
        assert job.task_id is None
    assert job.status == status
    assert [task.status for task in server.ledger.tasks] == [status]


# --- views -----------------------------------------------------------------------------------------------------------


async def test_a_view_shares_the_session_and_has_a_folder_and_names_of_its_own(
    server: Emulator, tmp_path: Path
) -> None:
    session = Session(server.api_key, base_url=server.url)
    heroes = session.with_options(output_dir=tmp_path / "heroes", naming=OutputNaming("{clip}.mp4"))
    async with session:
        plain = await session.run(request(1))
        result = await heroes.run(request(2))
        outcomes = [outcome async for outcome in heroes.map([request(3), request(3)])]
        assert heroes.statistics() == session.statistics()
    assert plain.paths == ()
    assert [path.name for path in result.paths] == [f"dance2__{result.task_id}.mp4"]
    assert {path.name for outcome in outcomes for path in outcome.paths} == {
        f"dance3__{outcome.task_id}.mp4" for outcome in outcomes
    }
    assert len(outcomes) == 2
    assert {path.parent for path in result.paths} == {tmp_path / "heroes"}


async def test_closing_a_view_closes_its_session(server: Emulator) -> None:
    session = await Session(server.api_key, base_url=server.url).open()
    await session.with_options(on_exit="drain").aclose()
    with pytest.raises(SessionError, match="has ended"):
        session.submit_nowait(request())


async def test_an_argument_of_a_call_outranks_the_option_of_its_view(session: Session, tmp_path: Path) -> None:
    view = session.with_options(output_dir=tmp_path / "view", naming=OutputNaming("{number}_{task_id}.mp4"))
    (path,) = (await view.run(request(), output_dir=tmp_path / "call", naming=OutputNaming("mine {task_id}.mp4"))).paths
    assert path.parent == tmp_path / "call"
    assert path.name.startswith("mine ")


async def test_names_of_a_map_count_its_requests(session: Session, tmp_path: Path) -> None:
    naming = OutputNaming("{number:02}_{character}.mp4")
    outcomes = [one async for one in session.map([request(n) for n in range(3)], output_dir=tmp_path, naming=naming)]
    wanted = {f"{one.request.video}"[-5]: one.task_id for one in outcomes}
    names = {path.name for one in outcomes for path in one.paths}
    assert names == {f"{int(number) + 1:02}_hero__{task_id}.mp4" for number, task_id in wanted.items()}


async def test_a_view_that_overwrites_downloads_again_and_another_does_not(server: Emulator, tmp_path: Path) -> None:
    async with Session(server.api_key, base_url=server.url, journal=tmp_path / "jobs.db") as session:
        view = session.with_options(output_dir=tmp_path / "out")
        for overwrite, downloads in ((None, 1), (None, 1), (True, 2)):
            assert (await view.with_options(overwrite=overwrite).run(request())).paths
            assert len(server.ledger.downloads) == downloads
    assert len(server.ledger.tasks) == 1


async def test_on_exit_of_a_view_holds_for_its_jobs_alone(server: Emulator) -> None:
    session = Session(server.api_key, base_url=server.url)
    async with session:
        left = await session.submit(request(1))
        stopped = await session.with_options(on_exit="cancel").submit(request(2))
        awaited = await session.with_options(on_exit="drain").submit(request(3))
    assert isinstance(left.error, SessionError)
    assert isinstance(stopped.error, JobCancelled)
    assert awaited.result is not None
    assert {task.task_id: task.status for task in server.ledger.tasks} == {
        left.task_id: server.ledger.tasks[0].status,
        stopped.task_id: "CANCEL",
        awaited.task_id: "SUCCESS",
    }


async def test_on_exit_of_a_view_holds_for_its_batches_too(server: Emulator, tmp_path: Path) -> None:
    """The session leaves what runs, and the view cancels it: a job of its batch that went on would be paid in vain."""
    async with Session(server.api_key, base_url=server.url) as session:
        view = session.with_options(on_exit="cancel", output_dir=tmp_path)
        batch = view.batch(Plan(entries=(Entry(number=1, source="by hand", request=request()),)))
        reading = asyncio.create_task(ended(anext(aiter(batch))))
        while not server.ledger.tasks:  # noqa: ASYNC110 - a ledger signals nothing
            await asyncio.sleep(0.1)
    assert isinstance(await reading, SessionError)
    assert [task.status for task in server.ledger.tasks] == ["CANCEL"]


async def test_a_batch_takes_the_folder_of_its_view_and_needs_one(session: Session, tmp_path: Path) -> None:
    plan = Plan(entries=(Entry(number=1, source="by hand", request=request()),))
    with pytest.raises(InvalidRequestError, match="needs a folder"):
        session.batch(plan)
    outcomes = [outcome async for outcome in session.with_options(output_dir=tmp_path / "out").batch(plan)]
    assert [path.parent for outcome in outcomes for path in outcome.paths] == [tmp_path / "out"]


async def test_recovery_saves_into_the_folder_of_its_view(server: Emulator, tmp_path: Path) -> None:
    def opened() -> Session:
        return Session(server.api_key, base_url=server.url, journal=tmp_path / "jobs.db")

    async with opened() as session:
        job = await session.submit(request())
    async with opened() as session:
        report = await session.with_options(output_dir=tmp_path / "out").recovery.resume()
        results = [await job for job in report.jobs]
    assert [path.parent for result in results for path in result.paths] == [tmp_path / "out"]
    assert [result.task_id for result in results] == [job.task_id]
    assert len(server.ledger.tasks) == 1


@pytest.mark.parametrize("options", [{"on_exit": "never"}, {"webhook_url": "mine.test/hook"}])
def test_an_option_that_breaks_its_rule_is_refused_in_one_line(options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Session("k" * 32).with_options(**options)  # type: ignore[arg-type]


# --- the default webhook ---------------------------------------------------------------------------------------------


async def test_the_default_webhook_is_for_requests_that_name_none(server: Emulator) -> None:
    own = DreamActor("https://example.test/a.png", "https://example.test/b.mp4", webhook_url="https://own.test/")
    wired = ModelRequest("own/model", {"webhookUrl": "https://wired.test/"})
    async with Session(server.api_key, base_url=server.url, webhook_url=HOOK) as session:
        view = session.with_options(webhook_url="https://view.test/")
        calls = [(session, request()), (session, own), (session, wired), (view, request(2))]
        jobs = [await one.submit(asked) for one, asked in calls]
        assert jobs[0].request == request()
    sent = [submission.body["webhookUrl"].partition("?")[0] for submission in server.ledger.submissions]
    assert sent == [HOOK, "https://own.test/", "https://wired.test/", "https://view.test/"]


async def test_the_default_webhook_makes_no_other_submission_of_a_request(server: Emulator, tmp_path: Path) -> None:
    for hook in (None, HOOK):
        book = tmp_path / "jobs.db"
        async with Session(server.api_key, base_url=server.url, journal=book, webhook_url=hook) as session:
            await session.run(request())
    assert len(server.ledger.submissions) == 1


async def test_the_default_webhook_is_for_the_entries_of_a_batch_too(server: Emulator, tmp_path: Path) -> None:
    plan = Plan(entries=(Entry(number=1, source="by hand", request=request()),))
    async with Session(server.api_key, base_url=server.url, webhook_url=HOOK) as session:
        async for _ in session.batch(plan, tmp_path / "first"):
            pass
        async for _ in session.with_options(webhook_url="https://view.test/").batch(plan, tmp_path / "second"):
            pass
    sent = [submission.body["webhookUrl"].partition("?")[0] for submission in server.ledger.submissions]
    assert sent == [HOOK, "https://view.test/"]
