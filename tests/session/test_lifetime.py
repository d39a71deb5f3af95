"""Opening and closing: in any task, in order, with nothing left behind."""

from __future__ import annotations

import asyncio
import logging

import pytest

from rh_async import CHINA_SITE, GLOBAL_SITE, DreamActor, Session
from rh_async.emulator import Emulator
from rh_async.errors import ConfigurationError, JobCancelled, SessionError
from tests.session.conftest import Media
from tests.virtual_clock import VirtualClockLoop

KEYS = ("RUNNINGHUB_API_KEY", "RH_API_KEY", "RUNNINGHUB_BASE_URL", "RH_API_BASE_URL")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


async def test_a_session_may_be_opened_and_closed_in_different_tasks(server: Emulator, media: Media) -> None:
    session = Session(server.api_key, base_url=server.url)
    await asyncio.create_task(session.__aenter__())
    result = await asyncio.create_task(session.run(DreamActor(media.images[0], media.videos[0])))
    await asyncio.create_task(session.__aexit__(None, None, None))
    assert result.outputs
    assert len(server.ledger.tasks) == 1


async def test_closing_lets_jobs_go_on_remotely_and_logs_which(
    server: Emulator, media: Media, caplog: pytest.LogCaptureFixture
) -> None:
    async with Session(server.api_key, base_url=server.url) as session:
        job = await session.submit(DreamActor(media.images[0], media.videos[0]))
        waiter = asyncio.create_task(job.accepted())
        ended = asyncio.create_task(_error_of(job))
        await waiter
    assert isinstance(await ended, SessionError)
    left = [record for record in caplog.records if record.message.startswith("rh_async.left_running")]
    assert [record.task_ids for record in left] == [[job.task_id]]  # type: ignore[attr-defined]
    async with Session(server.api_key, base_url=server.url) as later:
        assert (await later.attach(str(job.task_id))).outputs
    assert len(server.ledger.tasks) == 1


async def _error_of(job: object) -> BaseException | None:
    try:
        await job  # type: ignore[misc]
    except SessionError as error:
        return error
    return None


async def test_closing_withdraws_jobs_that_were_not_sent(media: Media) -> None:
    async with Emulator(seed=1) as server:
        async with Session(server.api_key, base_url=server.url, in_flight=1) as session:
            first = await session.submit(DreamActor(media.images[0], media.videos[0]))
            waiting = [session.submit_nowait(DreamActor(media.images[n % 3], media.videos[0])) for n in range(20)]
        assert first.task_id is not None
        for job in waiting:
            with pytest.raises(JobCancelled, match="withdrawn before it was sent") as caught:
                await job
            assert not caught.value.maybe_billed
        assert len(server.ledger.submissions) == 1


async def test_leaving_after_an_error_of_the_caller_raises_that_error(server: Emulator) -> None:
    with pytest.raises(KeyError):
        async with Session(server.api_key, base_url=server.url):
            raise KeyError("mine")
    assert server.ledger.submissions == []


async def test_a_session_is_opened_once(server: Emulator) -> None:
    session = Session(server.api_key, base_url=server.url)
    async with session:
        with pytest.raises(SessionError, match="opened once"):
            await session.__aenter__()
    with pytest.raises(SessionError, match="opened once"):
        async with session:
            pass


async def test_a_crash_of_the_services_breaks_every_job_and_ends_the_session(
    server: Emulator, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(SessionError, match="ZeroDivisionError"):
        async with Session(server.api_key, base_url=server.url) as session:
            job = await session.submit(DreamActor(media.images[0], media.videos[0]))
            monkeypatch.setattr("rh_async._polling.poller.Poller._next_poll", crash)  # outside of any one question
            with pytest.raises(SessionError, match="ZeroDivisionError") as caught:
                await job
            assert isinstance(caught.value.__cause__, ZeroDivisionError)
            assert caught.value.task_id == job.task_id
            with pytest.raises(SessionError, match="ZeroDivisionError"):
                session.submit_nowait(DreamActor(media.images[0], media.videos[0]))
    assert len(server.ledger.tasks) == 1


def test_use_without_or_from_another_loop_is_refused(media: Media) -> None:
    session = Session("k" * 32, base_url="http://127.0.0.1:9")
    with asyncio.Runner(loop_factory=VirtualClockLoop) as one, asyncio.Runner(loop_factory=VirtualClockLoop) as two:
        one.run(session.__aenter__())
        with pytest.raises(SessionError, match="another event loop"):
            two.run(session.submit(DreamActor(media.images[0], media.videos[0])))
        with pytest.raises(SessionError, match="no running event loop"):
            session.attach("12")
        one.run(session.__aexit__(None, None, None))


def test_making_a_session_needs_neither_a_loop_nor_the_network() -> None:
    assert repr(Session("secret-key")) == f"<Session {GLOBAL_SITE}>"


@pytest.mark.parametrize("in_flight", [0, -1, 1.5, True, "4"])
def test_a_limit_below_one_is_refused(in_flight: int) -> None:
    with pytest.raises(ConfigurationError, match="in_flight"):
        Session("key", in_flight=in_flight)


def test_a_missing_key_says_how_to_give_one() -> None:
    with pytest.raises(ConfigurationError, match="RUNNINGHUB_API_KEY"):
        Session()


@pytest.mark.parametrize("key", ["two words", "schlüssel", "line\nbreak"])
def test_a_key_no_header_could_carry_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Session(key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("name", ["RUNNINGHUB_API_KEY", "RH_API_KEY"])
async def test_the_key_comes_from_the_environment(
    name: str, server: Emulator, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f" {server.api_key}\n")
    monkeypatch.setenv("RH_API_BASE_URL", f"{server.url}/openapi/v2/")
    async with Session() as session:
        assert (await session.submit(DreamActor(media.images[0], media.videos[0]))).task_id
    assert len(server.ledger.tasks) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, GLOBAL_SITE),
        (CHINA_SITE + "/", CHINA_SITE),
        ("http://127.0.0.1:8080/openapi/v2", "http://127.0.0.1:8080"),
    ],
)
def test_the_site_is_read_in_every_documented_form(given: str | None, expected: str) -> None:
    assert repr(Session("key", base_url=given)) == f"<Session {expected}>"


def test_the_sites_variables_have_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RH_API_BASE_URL", "https://second.test/openapi/v2")
    assert "second.test>" in repr(Session("key"))
    monkeypatch.setenv("RUNNINGHUB_BASE_URL", "https://first.test")
    assert "first.test>" in repr(Session("key"))


@pytest.mark.parametrize("url", ["www.runninghub.ai", "ftp://x", "https://", "file:///etc/passwd"])
def test_a_site_that_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must look like"):
        Session("key", base_url=url)


async def test_a_callback_that_raises_is_logged_and_stops_nothing(
    server: Emulator, media: Media, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: object) -> None:
        raise RuntimeError("mine")

    with caplog.at_level(logging.ERROR):
        async with Session(server.api_key, base_url=server.url, on_event=broken) as session:
            assert (await session.run(DreamActor(media.images[0], media.videos[0]))).outputs
    assert {record.message for record in caplog.records} == {"rh_async.on_event_failed"}
    assert len(server.ledger.tasks) == 1
