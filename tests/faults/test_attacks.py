"""Regressions of the core: each once cost money, a wait or the whole session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rh_async import (
    DreamActor,
    ModelRequest,
    Output,
    PollingPolicy,
    Result,
    RetryPolicy,
    RHError,
    Session,
    SubmitUnknown,
    TaskId,
    Usage,
)
from rh_async.emulator import Emulator, Fault
from rh_async.errors import AuthenticationFailed, BalanceExhausted, InvalidMedia, InvalidRequestError, SessionError
from rh_async.events import Event, Settled, Submitted
from tests.faults.test_giving_up import LINKED, until
from tests.media import draw_image
from tests.session.conftest import Media

HOUR = 3600.0


async def error_of(wait: Awaitable[object]) -> RHError:
    """Return what a wait ends with."""
    with pytest.raises(RHError) as caught:
        await wait
    return caught.value


def services_tasks() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "rh_async services"]


# --- money -----------------------------------------------------------------------------------------------------------


async def test_a_post_that_is_cut_off_from_outside_is_never_called_withdrawn(server: Emulator) -> None:
    server.faults.add(Fault("hang", route="submit", accepted=True))
    session = Session(server.api_key, base_url=server.url)
    await session.__aenter__()
    job = session.submit_nowait(LINKED)
    await until(lambda: server.ledger.tasks)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if "rh_async" in repr(task.get_coro()) and "emulator" not in repr(task.get_coro()):
            task.cancel()  # as asyncio.run does with whatever is left at its end
    await asyncio.sleep(1)
    await asyncio.gather(session.__aexit__(None, None, None), return_exceptions=True)
    assert job.error is not None
    assert job.error.maybe_billed


@pytest.mark.parametrize("how", ["left", "key refused"])
async def test_a_job_that_is_let_go_of_may_have_been_billed(how: str, server: Emulator) -> None:
    async with Session(server.api_key, base_url=server.url) as session:
        job = await session.submit(LINKED)
        if how == "key refused":
            server.faults.add(Fault("error_code", route="query", code="806"))
            await error_of(job)
    assert job.error is not None
    assert job.error.maybe_billed
    assert job.error.task_id == job.task_id == server.ledger.tasks[0].task_id


async def test_two_jobs_of_one_task_both_settle_and_its_slot_is_released(server: Emulator) -> None:
    server.faults.add(Fault("slow_response", route="submit", seconds=30))
    async with Session(server.api_key, base_url=server.url, in_flight=1) as session:
        mine = session.submit_nowait(LINKED)
        await until(lambda: server.ledger.tasks)
        watched = session.attach(server.ledger.tasks[0].task_id)
        assert (await watched).task_id == (await mine).task_id
        assert (await session.run(LINKED)).outputs
    assert len(server.ledger.tasks) == 2


async def test_a_refused_key_does_not_keep_paid_outputs_from_being_saved(server: Emulator, tmp_path: Path) -> None:
    async with Session(server.api_key, base_url=server.url) as session:
        result = await session.run(LINKED)
        server.faults.add(Fault("error_code", route="query", code="806"))
        assert isinstance(await error_of(await session.submit(LINKED)), AuthenticationFailed)
        assert await session.save(result, tmp_path)
        with pytest.raises(AuthenticationFailed):
            await session.submit(LINKED)


async def test_a_link_that_is_being_renewed_is_waited_for(media: Media) -> None:
    patient = PollingPolicy(interval=600.0, max_job_age=40 * HOUR)
    async with (
        Emulator(seed=1, run_time=23.5 * HOUR) as server,
        Session(server.api_key, base_url=server.url, in_flight=2, polling=patient) as session,
    ):
        jobs = [session.submit_nowait(DreamActor(media.images[0], "https://example.test/v.mp4")) for _ in range(4)]
        for job in jobs:
            await job.accepted()
    links = [submission.body["imageUrl"] for submission in server.ledger.submissions]
    assert links[0] == links[1] != links[2]
    assert links[2] == links[3]


async def test_a_file_that_was_replaced_before_its_link_was_renewed_is_refused(
    server: Emulator, session: Session, media: Media, tmp_path: Path
) -> None:
    image = draw_image(tmp_path / "hero.png", shade=1)
    upload = await session.upload(image)
    draw_image(image, shade=200, size=(321, 480))
    await asyncio.sleep(24 * HOUR)
    with pytest.raises(InvalidMedia, match="changed since it went up"):
        await session.submit(DreamActor(upload, media.videos[0]))
    assert server.ledger.submissions == []


async def test_a_submit_that_was_cancelled_and_accepted_is_logged(
    server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults.add(Fault("slow_response", route="submit", seconds=30))
    async with Session(server.api_key, base_url=server.url) as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await session.submit(LINKED)
        await asyncio.sleep(1000)
    said = [record.message for record in caplog.records if "given_up" in record.message]
    assert said == [f"rh_async.given_up {server.ledger.tasks[0].task_id} goes on"]


@pytest.mark.parametrize("folder", [123, "a\0b"])
async def test_a_folder_that_is_none_is_refused_before_anything_is_submitted(
    folder: str, server: Emulator, session: Session
) -> None:
    with pytest.raises(InvalidRequestError, match="output_dir"):
        await session.run(LINKED, output_dir=folder)
    with pytest.raises(InvalidRequestError, match="output_dir"):
        session.map([LINKED], output_dir=folder)
    assert server.ledger.submissions == []


@pytest.mark.parametrize(("code", "kind"), [("812", BalanceExhausted), ("806", AuthenticationFailed)])
async def test_a_final_code_is_final_whatever_the_http_status(
    code: str, kind: type[RHError], server: Emulator, session: Session
) -> None:
    server.faults.add(Fault("error_code", code=code, status=429))
    assert isinstance(await error_of(session.run(LINKED)), kind)
    assert len(server.ledger.submissions) == 1


# --- one bad input, one odd answer --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["he\0ro.png", "he\ud800ro.png", "x" * 300])
async def test_a_name_no_file_can_have_is_refused_and_stops_no_other_job(
    name: str, session: Session, media: Media
) -> None:
    good = await session.submit(LINKED)
    assert isinstance(await error_of(session.run(DreamActor(name, media.videos[0]))), InvalidMedia)
    assert (await good).outputs


async def test_a_suffix_that_is_no_text_goes_up_as_bin(server: Emulator, session: Session, tmp_path: Path) -> None:
    odd = tmp_path / "clip.\udcff"
    odd.write_bytes(b"neither image nor video")
    assert isinstance(await error_of(session.upload(odd)), RHError)
    assert (await session.run(LINKED)).outputs
    assert len(server.ledger.tasks) == 1


@pytest.mark.parametrize("url", ["http://a..b/x.mp4", f"http://{'a' * 64}.test/x", "nonsense", "http://[::1/x"])
async def test_a_result_link_that_cannot_be_used_fails_its_save_only(
    url: str, session: Session, tmp_path: Path
) -> None:
    await error_of(session.save(made(Output(url=url, type="mp4")), tmp_path))
    assert asyncio.get_running_loop().time() < 10
    assert (await session.run(LINKED)).outputs


async def test_text_with_half_a_character_is_saved_without_it(session: Session, tmp_path: Path) -> None:
    (path,) = await session.save(made(Output(text="a\ud800b")), tmp_path)
    assert path.read_text() == "a?b"


async def test_a_compressing_cdn_changes_nothing(session: Session, tmp_path: Path) -> None:
    async def compressed(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        response = web.Response(body=b"subtitle " * 1000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    app = web.Application()
    app.router.add_get("/x.srt", compressed)
    async with TestServer(app) as cdn:
        (path,) = await session.save(made(Output(url=str(cdn.make_url("/x.srt")), type="srt")), tmp_path)
    assert path.read_bytes() == b"subtitle " * 1000


def test_fields_that_are_changed_afterwards_change_no_request() -> None:
    inner: list[object] = ["a"]
    request = ModelRequest("vendor/model", {"refs": inner})
    inner.append(object())
    assert request.parameters() == {"refs": ["a"]}


def made(output: Output) -> Result:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return Result(task_id=TaskId("12"), outputs=(output,), usage=Usage(), noticed_utc=when)


# --- waits that never ended --------------------------------------------------------------------------------


async def test_a_map_whose_session_ends_during_a_save_ends(server: Emulator, tmp_path: Path) -> None:
    server.faults.add(Fault("slow_response", route="download", seconds=300, times=None))
    async with Session(server.api_key, base_url=server.url) as session:
        iterator = aiter(session.map([LINKED], output_dir=tmp_path))
        first = asyncio.ensure_future(anext(iterator))
        await until(lambda: server.ledger.downloads)
    outcome = await first
    assert isinstance(outcome.error, SessionError)
    assert outcome.result is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["save", "look", "account"])
async def test_a_call_of_another_task_ends_with_the_session(what: str, server: Emulator, tmp_path: Path) -> None:
    async with Session(server.api_key, base_url=server.url) as session:
        result = await session.run(LINKED)
        route = {"save": "download", "look": "query", "account": "account"}[what]
        server.faults.add(Fault("hang", route=route, times=None))  # type: ignore[arg-type]
        calls = {
            "save": session.save(result, tmp_path),
            "look": session.get_status(result.task_id),
            "account": session.account(),
        }
        calling = asyncio.ensure_future(calls.pop(what))
        for unused in calls.values():
            unused.close()
        await asyncio.sleep(5)
    assert isinstance(await error_of(calling), SessionError)


async def test_closing_waits_for_the_check_of_a_refused_task_a_minute_at_most(server: Emulator) -> None:
    server.faults.add(Fault("error_with_task"), Fault("http_429", route="query", retry_after=60, times=None))
    async with Session(server.api_key, base_url=server.url) as session:
        job = session.submit_nowait(LINKED)
        await until(lambda: server.ledger.tasks)
    assert asyncio.get_running_loop().time() < 70
    assert isinstance(job.error, SubmitUnknown)
    assert job.error.task_id == server.ledger.tasks[0].task_id


async def test_a_callback_that_raises_a_cancellation_stops_no_polling(server: Emulator) -> None:
    def cancelled(_: Event) -> None:
        raise asyncio.CancelledError

    async with Session(server.api_key, base_url=server.url, on_event=cancelled) as session:
        assert (await session.run(LINKED)).outputs


async def test_services_that_are_cancelled_from_outside_break_every_job(server: Emulator) -> None:
    session = Session(server.api_key, base_url=server.url)
    await session.__aenter__()
    job = await session.submit(LINKED)
    for task in services_tasks():
        task.cancel()
    assert "cancelled from outside" in str(await error_of(job))
    with pytest.raises(SessionError, match="cancelled from outside"):
        session.submit_nowait(LINKED)
    with pytest.raises(SessionError, match="cancelled from outside"):
        await session.__aexit__(None, None, None)


async def test_a_callback_that_submits_again_at_the_end_is_refused(server: Emulator) -> None:
    def again(event: Event) -> None:
        if isinstance(event, Settled) and event.error is not None:
            session.submit_nowait(LINKED)

    async with Session(server.api_key, base_url=server.url, in_flight=1, on_event=again) as session:
        await session.submit(LINKED)
        jobs = [session.submit_nowait(LINKED) for _ in range(20)]
    assert all(job.done for job in jobs)
    assert len(server.ledger.submissions) == 1


async def test_an_opening_that_is_cancelled_leaves_nothing_behind(server: Emulator) -> None:
    entering = asyncio.create_task(Session(server.api_key, base_url=server.url).__aenter__())
    await asyncio.sleep(0)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert services_tasks() == []


async def test_two_tasks_may_read_one_map(server: Emulator, session: Session) -> None:
    iterator = aiter(session.map([LINKED] * 6))
    told = []

    async def read() -> None:
        async for outcome in iterator:
            told.append(outcome.task_id)

    await asyncio.gather(read(), read())
    assert set(told) == {task.task_id for task in server.ledger.tasks}
    assert len(told) == 6


async def test_a_map_of_a_session_that_has_ended_says_so(server: Emulator) -> None:
    async with Session(server.api_key, base_url=server.url) as session:
        outcomes = session.map([LINKED])
    with pytest.raises(SessionError, match="ended"):
        await anext(aiter(outcomes))


async def test_every_job_that_was_submitted_has_an_event_of_its_end(server: Emulator) -> None:
    events: list[Event] = []
    async with Session(server.api_key, base_url=server.url, on_event=events.append) as session:
        for _ in range(3):
            await session.submit(LINKED)
    submitted = {event.task_id for event in events if isinstance(event, Submitted)}
    assert {event.task_id for event in events if isinstance(event, Settled)} == submitted
    assert len(submitted) == 3


# --- rate limits -----------------------------------------------------------------------------------------------------


async def test_a_hundred_jobs_get_through_a_server_of_five_requests_a_second() -> None:
    loop, seen, accepted = asyncio.get_running_loop(), list[float](), list[float]()

    async def submit(_: web.Request) -> web.Response:
        now = loop.time()
        seen.append(now)
        if len([at for at in seen if at > now - 1]) > 5:
            return web.Response(status=429)
        accepted.append(now)
        return web.json_response({"taskId": str(len(accepted)), "status": "SUCCESS", "results": [{"text": "done"}]})

    app = web.Application()
    app.router.add_post("/openapi/v2/bytedance/dreamactor-v2", submit)
    async with TestServer(app) as server, Session("k" * 32, base_url=str(server.make_url("/"))) as session:
        async for outcome in session.map([LINKED] * 100):
            assert outcome.result
    assert len(accepted) == 100
    assert len(seen) < 400
    assert loop.time() < 300


async def test_a_single_rate_limit_fails_nothing_even_without_patience(server: Emulator) -> None:
    server.faults.add(Fault("http_429"))
    async with Session(server.api_key, base_url=server.url, retry=RetryPolicy(give_up_after=0)) as session:
        assert (await session.submit(LINKED)).task_id
    assert len(server.ledger.tasks) == 1
