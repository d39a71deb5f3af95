"""A defect, or one unexpected answer of the server, ends one job; the session and its other jobs go on."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rh_async import DreamActor, Job, RHError, Session, SubmitUnknown
from rh_async._journal.records import SubmissionState
from rh_async._polling.poller import Poller
from rh_async._submission.submission import Submitter
from rh_async._transfer.uploads import Uploads
from rh_async.emulator import Emulator, Fault
from rh_async.errors import UnexpectedError
from tests.faults.test_attacks import error_of
from tests.journal.killing import rows_of
from tests.raw_server import Request, http, raw_server
from tests.session.conftest import Media


def request(number: int) -> DreamActor:
    return DreamActor("https://example.test/hero.png", f"https://example.test/{number}.mp4")


class Bug(Exception):
    """A defect that no code expects."""


def fails_once(monkeypatch: pytest.MonkeyPatch, kind: type, name: str, *, before: bool = True) -> None:
    """Make one call of a method raise a bug, before or after it does its work."""
    act, met = getattr(kind, name), list[object]()

    async def buggy(*args: Any, **options: Any) -> Any:
        first = not met
        met.append(args)
        if before and first:
            raise Bug
        value = await act(*args, **options)
        if first:
            raise Bug
        return value

    monkeypatch.setattr(kind, name, buggy)


CASES = {
    "before the POST": (Uploads, "read", True, SubmissionState.CLAIMED),
    "before the POST, with its slot": (Submitter, "_post", True, SubmissionState.CLAIMED),
    "once the POST is answered": (Submitter, "_send", False, SubmissionState.UNCERTAIN),
    "once it is accepted": (Submitter, "_record_task", False, SubmissionState.SUBMITTED),
    "at a question": (Poller, Poller._poll.__name__, True, SubmissionState.SUBMITTED),
    "at its end": (Poller, Poller._handle_snapshot.__name__, True, SubmissionState.SUBMITTED),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_defect_about_one_job_ends_that_job_alone_and_says_what_it_may_have_cost(
    case: str,
    server: Emulator,
    media: Media,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kind, name, before, state = CASES[case]
    book = tmp_path / "journal.db"
    async with Session(server.api_key, base_url=server.url, journal=book, in_flight=2) as session:
        others = [await session.submit(request(number)) for number in range(1)]
        fails_once(monkeypatch, kind, name, before=before)
        job = session.submit_nowait(DreamActor(media.images[0], media.videos[0]))
        others += [session.submit_nowait(request(number)) for number in range(1, 4)]
        errors = [error for one in [job, *others] if (error := await _end(one)) is not None]
        assert len(errors) == 1
        assert (await session.run(request(9))).outputs
    (error,) = errors
    assert isinstance(error.__cause__, Bug)
    assert error.maybe_billed is (state is not SubmissionState.CLAIMED)
    assert isinstance(error, SubmitUnknown if state is SubmissionState.UNCERTAIN else UnexpectedError)
    assert (error.task_id is not None) is (state is SubmissionState.SUBMITTED)
    left = [row.state for row in rows_of(book) if row.state is not SubmissionState.SETTLED]
    assert left == ([] if state is SubmissionState.CLAIMED else [state])
    assert any(record.exc_info and record.levelno == logging.ERROR for record in caplog.records)


async def _end(job: Job) -> RHError | None:
    try:
        await job
    except RHError as error:
        return error
    return None


@pytest.mark.parametrize("journal", [False, True], ids=["no journal", "journal"])
async def test_a_refusal_that_names_our_own_other_task_is_a_refusal_and_not_adopted(
    journal: bool, server: Emulator, tmp_path: Path
) -> None:
    """The one slot is taken by our own task, which the refusal names."""
    ids: list[str] = []

    async def answer(asked: Request, _: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0)
        if asked.target.endswith("/query"):
            settled = len(ids) > 4
            return _json({"taskId": "1", "status": "SUCCESS" if settled else "RUNNING", "results": [{"text": "done"}]})
        if "/bytedance/" not in asked.target:
            return _json({"code": 1, "msg": "no"})
        ids.append(asked.target)
        if len(ids) == 1:
            return _json({"taskId": "1", "status": "RUNNING"})
        return _json({"errorCode": "421", "errorMessage": "too many", "taskId": "1", "status": "RUNNING"})

    book = tmp_path / "journal.db" if journal else None
    async with raw_server(answer) as site, Session("k" * 32, base_url=site.url, journal=book) as session:
        first = await session.submit(request(1))
        second = session.submit_nowait(request(2))
        assert (await first).task_id == "1"
        await asyncio.sleep(60)
        assert second.task_id is None
        assert not second.done
        assert len(ids) > 4


async def test_a_refusal_that_names_an_earlier_sessions_task_is_a_refusal_and_not_adopted(tmp_path: Path) -> None:
    submits: list[str] = []

    async def answer(asked: Request, _: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0)
        if asked.target.endswith("/query"):
            return _json({"taskId": "1", "status": "RUNNING"})
        if "/bytedance/" not in asked.target:
            return _json({"code": 1, "msg": "no"})
        submits.append(asked.target)
        refusal = {} if len(submits) == 1 else {"errorCode": "421", "errorMessage": "too many"}
        return _json({"taskId": "1", "status": "RUNNING", **refusal})

    book = tmp_path / "journal.db"
    async with raw_server(answer) as site:
        async with Session("k" * 32, base_url=site.url, journal=book) as session:
            await session.submit(request(1))
        async with Session("k" * 32, base_url=site.url, journal=book) as session:
            second = session.submit_nowait(request(2))
            await asyncio.sleep(60)
            assert not second.done
            assert await session.recovery.unconfirmed() == ()
    assert len(submits) > 3
    assert [(row.task_id, row.state) for row in rows_of(book)] == [("1", SubmissionState.SUBMITTED)]


async def test_a_404_of_another_server_does_not_prove_that_a_refusals_task_is_unknown() -> None:
    submits: list[str] = []

    async def answer(asked: Request, _: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0)
        if asked.target.endswith("/query"):
            return http(b"not here", status="404 Not Found", kind="text/html")
        if "/bytedance/" not in asked.target:
            return _json({"code": 1, "msg": "no"})
        submits.append(asked.target)
        return _json({"errorCode": "421", "errorMessage": "too many", "taskId": "1", "status": "RUNNING"})

    async with raw_server(answer) as site, Session("k" * 32, base_url=site.url) as session:
        with pytest.raises(SubmitUnknown) as caught:
            async with asyncio.timeout(600):
                await session.submit(request(1))
    assert caught.value.maybe_billed
    assert len(submits) == 1


async def test_a_refusals_task_is_adopted_though_the_server_knows_it_only_at_the_third_query() -> None:
    submits: list[str] = []
    asked_at: list[float] = []

    async def answer(asked: Request, _: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0)
        if asked.target.endswith("/query"):
            asked_at.append(asyncio.get_running_loop().time())
            unknown = {"errorCode": "1004", "errorMessage": "no such task"} if len(asked_at) < 3 else {}
            return _json({"taskId": "1", "status": "" if unknown else "RUNNING", **unknown})
        if "/bytedance/" not in asked.target:
            return _json({"code": 1, "msg": "no"})
        submits.append(asked.target)
        return _json({"errorCode": "421", "errorMessage": "too many", "taskId": "1", "status": "RUNNING"})

    async with raw_server(answer) as site, Session("k" * 32, base_url=site.url) as session:
        job = await session.submit(request(1))
        assert job.task_id == "1"
    assert len(submits) == 1
    assert [at - asked_at[0] for at in asked_at[:3]] == pytest.approx([0, 5, 20])


def _json(body: object) -> bytes:
    return http(json.dumps(body).encode(), kind="application/json")


@pytest.mark.parametrize("journal", [False, True], ids=["no journal", "journal"])
@pytest.mark.parametrize("over", [False, True], ids=["while it runs", "once it is over"])
async def test_one_task_named_for_two_submits_is_the_firsts_alone(over: bool, journal: bool, tmp_path: Path) -> None:
    async def answer(asked: Request, _: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0)
        if asked.target.endswith("/query"):
            return _json({"taskId": "7", "status": "SUCCESS", "results": [{"text": "the first's"}]})
        return _json({"taskId": "7", "status": "RUNNING"})

    book = tmp_path / "journal.db" if journal else None
    async with raw_server(answer) as site, Session("k" * 32, base_url=site.url, journal=book) as session:
        first = await session.submit(request(1))
        if over:
            await first
        error = await error_of(session.run(request(2)))
        assert isinstance(error, SubmitUnknown)
        assert error.maybe_billed
        assert "task 7, which another submit has made" in str(error)
        assert (await first).outputs[0].text == "the first's"
    if book is not None:
        assert [row.state for row in rows_of(book)].count(SubmissionState.UNCERTAIN) == 1


@pytest.mark.parametrize("word", ["\\ud800", "a\\u0000b", "\\u001b[31m1", "7" * 4096, "1\\n2"])
async def test_a_task_that_cannot_be_queried_makes_its_own_submit_unknown_and_no_others(
    word: str, tmp_path: Path
) -> None:
    posts: list[str] = []

    async def answer(asked: Request, _: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0.1)
        if asked.target.endswith("/query"):
            return _json({"code": 1, "msg": "later"})
        posts.append(asked.target)
        task_id = word if len(posts) == 5 else str(1000 + len(posts))
        return http(f'{{"taskId":"{task_id}","status":"RUNNING"}}'.encode(), kind="application/json")

    book = tmp_path / "journal.db"
    async with raw_server(answer) as site, Session("k" * 32, base_url=site.url, journal=book, in_flight=20) as session:
        jobs = [session.submit_nowait(request(number)) for number in range(15)]
        ends = await asyncio.gather(*(job.accepted() for job in jobs), return_exceptions=True)
        assert [type(end) for end in ends if not isinstance(end, str)] == [SubmitUnknown]
        assert (await session.submit(request(99))).task_id
    states = [row.state for row in rows_of(book)]
    assert (states.count(SubmissionState.SUBMITTED), states.count(SubmissionState.UNCERTAIN)) == (15, 1)


@pytest.mark.parametrize("key", ["a\0b", "half \ud800"], ids=ascii)
async def test_a_key_that_no_journal_can_hold_is_refused_before_anything_is_sent(key: str, server: Emulator) -> None:
    async with Session(server.api_key, base_url=server.url) as session:
        with pytest.raises(RHError, match="key"):
            await session.submit(request(1), idempotency_key=key)
    assert server.ledger.submissions == []


async def test_a_folder_whose_name_is_no_text_is_recorded_and_found_again(server: Emulator, tmp_path: Path) -> None:
    book, folder = tmp_path / "journal.db", str(tmp_path).encode() + b"/B\xfcro"
    async with Session(server.api_key, base_url=server.url, journal=book) as session:
        running: Callable[..., Any] = session.run
        task = asyncio.ensure_future(running(request(1), idempotency_key="clip", output_dir=folder))
        while not server.ledger.tasks:  # noqa: ASYNC110 - a ledger rings no bell
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        task.cancel()
    async with Session(server.api_key, base_url=server.url, journal=book) as session:
        (job,) = (await session.recovery.resume()).jobs
        await job
    assert len(list(Path(tmp_path, "B\udcfcro").iterdir())) == 1
    assert len(server.ledger.tasks) == 1


async def test_a_404_of_another_server_loses_no_job_that_runs() -> None:
    async with Emulator(seed=1, run_time=200.0) as server, Session(server.api_key, base_url=server.url) as session:
        job = await session.submit(request(1))
        await asyncio.sleep(100)  # past the time in which no answer is believed
        server.faults.add(Fault("gateway_502", route="query", status=404, times=3))
        assert (await job).outputs
        assert len(server.ledger.faults) == 3
