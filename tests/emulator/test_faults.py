"""Test every fault: what the client receives, and what the ledger records."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import get_args

import aiohttp
import pytest

from rh_async.emulator import FAULT_KINDS, Emulator, Fault, FaultKind
from rh_async.emulator.outputs.sample_files import free_box
from rh_async.emulator.state.rejections import ERROR_MESSAGES
from tests.emulator.conftest import BODY, KLING, PNG, Caller, Json, Serve, fixture, mp4

SUBMIT = f"/openapi/v2/{KLING}"


async def post_raw(caller: Caller, path: str = SUBMIT, body: object = BODY) -> tuple[int, bytes]:
    """Post a body, and return the status and the content of the response."""
    headers = caller.headers(path)
    url = caller.server.url + path
    async with caller.http.post(url, json=body, headers=headers, allow_redirects=False) as response:
        return response.status, await response.read()


async def outcome(caller: Caller) -> tuple[int, bytes] | type[BaseException]:
    """Submit, and return the response, or the type of the error if there is none."""
    try:
        async with asyncio.timeout(60):
            return await post_raw(caller)
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error)


def applied_faults(server: Emulator) -> list[tuple[str, str, bool]]:
    return [(fault.route, fault.kind, fault.ambiguous) for fault in server.ledger.faults]


async def submit_and_settle(caller: Caller) -> str:
    """Submit, wait until the task has settled, and return its id."""
    task_id: str = (await caller.submit())["taskId"]
    await asyncio.sleep(3600)
    return task_id


def test_every_fault_kind_has_a_description() -> None:
    assert set(FAULT_KINDS) == set(get_args(FaultKind))
    assert all(spec.description.endswith(".") for spec in FAULT_KINDS.values())


@pytest.mark.parametrize(
    ("fault", "created", "expected"),
    [
        (Fault("drop_before_body"), 0, aiohttp.ServerDisconnectedError),
        (Fault("drop_after_accept"), 1, aiohttp.ServerDisconnectedError),
        (Fault("drop_mid_response"), 1, aiohttp.ClientPayloadError),
        (Fault("hang"), 0, TimeoutError),
        (Fault("hang", accepted=True), 1, TimeoutError),
        (Fault("redirect_307"), 0, 307),
        (Fault("gateway_502"), 0, 502),
        (Fault("gateway_502", status=504, accepted=True), 1, 504),
        (Fault("http_429"), 0, 429),
        (Fault("json_5xx"), 0, 503),
        (Fault("json_5xx", status=500, code="1005", accepted=True), 1, 500),
        (Fault("invalid_body"), 1, 200),
        (Fault("empty_body"), 1, 200),
        (Fault("oversized_body", size=8 << 20), 1, 200),
        (Fault("slow_response"), 1, 200),
        (Fault("error_code"), 0, 200),
        (Fault("error_code", accepted=True), 1, 200),
        (Fault("error_with_task"), 1, 200),
        (Fault("error_with_unknown_task"), 0, 200),
    ],
    ids=lambda value: f"{value.kind}{'+' * value.accepted}" if isinstance(value, Fault) else None,
)
async def test_a_submit_with_a_fault_is_recorded_once_and_creates_a_task_only_if_accepted(
    caller: Caller, fault: Fault, created: int, expected: object
) -> None:
    caller.server.faults.add(fault)
    answer = await outcome(caller)
    assert (answer[0] if isinstance(answer, tuple) else answer) == expected
    ledger = caller.server.ledger
    [submission] = ledger.submissions
    assert (submission.fault, submission.body) == (fault.kind, {} if fault.kind == "drop_before_body" else BODY)
    assert len(ledger.tasks) == created
    assert [record.task_id for record in ledger.faults] == [ledger.tasks[0].task_id if created else ""]
    assert applied_faults(caller.server) == [("submit", fault.kind, fault.kind != "http_429")]
    assert (await caller.submit())["errorCode"] == ""


async def test_no_request_arrives_while_connections_are_refused(caller: Caller) -> None:
    await caller.submit()
    caller.server.faults.add(Fault("refuse_connections", seconds=10))
    await asyncio.sleep(0.1)  # the HTTP client notices that its idle connection is closed
    with pytest.raises(aiohttp.ClientConnectorError):
        await caller.submit()
    await asyncio.sleep(9.8)
    with pytest.raises(aiohttp.ClientConnectorError):
        await caller.query("1")
    await asyncio.sleep(0.2)
    assert (await caller.submit())["errorCode"] == ""
    assert len(caller.server.ledger.submissions) == 2
    assert applied_faults(caller.server) == [("submit", "refuse_connections", False)]


async def test_connections_can_be_refused_before_the_nth_request_and_again_later(caller: Caller) -> None:
    caller.server.faults.add(Fault("refuse_connections", nth=2, times=2, seconds=5))
    await caller.submit()
    with pytest.raises(aiohttp.ClientConnectorError):
        await caller.submit()
    caller.server.refuse_connections(20)
    await asyncio.sleep(10)
    with pytest.raises(aiohttp.ClientConnectorError):
        await caller.submit()
    await asyncio.sleep(11)
    await caller.submit()
    with pytest.raises(aiohttp.ClientConnectorError):
        await caller.submit()


async def test_a_server_can_stop_while_it_refuses_connections() -> None:
    async with Emulator() as server:
        server.refuse_connections(1000)
        address = ("127.0.0.1", server.port)
    with socket.create_server(address) as taken:  # the address is free again
        assert taken.getsockname() == address


async def test_a_server_that_has_stopped_does_not_listen_again() -> None:
    async with Emulator() as server:
        pass
    before = asyncio.all_tasks()
    server.refuse_connections(5)  # as happens after the response to a request that outlasted the listener
    started = asyncio.all_tasks() - before
    assert await asyncio.gather(*started, return_exceptions=True) == []


async def test_a_client_that_follows_a_redirected_submit_creates_a_task(caller: Caller) -> None:
    caller.server.faults.add(Fault("redirect_307"))
    await caller.submit()  # the HTTP client follows the redirect
    assert [record.endpoint for record in caller.server.ledger.submissions] == [KLING, "elsewhere/model"]
    assert [task.endpoint for task in caller.server.ledger.tasks] == ["elsewhere/model"]


@pytest.mark.parametrize(("after", "header"), [(None, None), (7, "7"), ("Wed, 21 Oct 2026 07:28:00 GMT",) * 2])
async def test_http_429_can_have_a_retry_after_header(
    caller: Caller, after: float | str | None, header: str | None
) -> None:
    caller.server.faults.add(Fault("http_429", retry_after=after))
    async with caller.http.post(caller.server.url + SUBMIT, json=BODY) as response:
        assert (response.status, response.headers.get("Retry-After")) == (429, header)


async def test_a_json_server_error_can_have_an_error_code(caller: Caller) -> None:
    caller.server.faults.add(Fault("json_5xx"), Fault("json_5xx", code="1005"))
    bodies = [json.loads((await post_raw(caller))[1]) for _ in range(2)]
    assert "errorCode" not in bodies[0]
    assert bodies[1]["errorCode"] == "1005"


async def test_body_faults_send_html_invalid_empty_and_oversized_bodies(caller: Caller) -> None:
    caller.server.faults.add(
        Fault("gateway_502"), Fault("invalid_body"), Fault("empty_body"), Fault("oversized_body", size=3 << 20)
    )
    page, invalid, empty, oversized = [(await post_raw(caller))[1] for _ in range(4)]
    assert page.startswith(b"<html>")
    with pytest.raises(UnicodeDecodeError):
        invalid.decode()
    assert empty == b""
    assert len(oversized) > 3 << 20
    assert json.loads(oversized)["status"] == "RUNNING"


async def test_a_slow_response_arrives_after_its_seconds(caller: Caller) -> None:
    caller.server.faults.add(Fault("slow_response", seconds=32))
    start = asyncio.get_running_loop().time()
    assert (await caller.submit())["errorCode"] == ""
    assert asyncio.get_running_loop().time() - start == pytest.approx(32, abs=2)


@pytest.mark.parametrize("code", sorted(ERROR_MESSAGES))
async def test_every_documented_code_can_be_returned_by_submit_query_and_upload(caller: Caller, code: str) -> None:
    caller.server.faults.add(*(Fault("error_code", route=route, code=code) for route in ("submit", "query", "upload")))
    submit = await caller.submit()
    assert (submit["errorCode"], submit["errorMessage"], submit["taskId"]) == (code, ERROR_MESSAGES[code], "")
    query = await caller.query("1999999999999999999")
    assert (query["errorCode"], query["status"], query["taskId"]) == (code, "", "1999999999999999999")
    upload = await caller.upload(PNG, "media.png")
    assert upload["code"] == int(code)
    assert caller.server.ledger.tasks == []
    assert caller.server.ledger.uploads == []
    assert len(caller.server.ledger.calls) == 1


@pytest.mark.parametrize(("code_type", "written"), [("str", "1005"), ("int", 1005), ("null", None)])
async def test_an_error_code_can_be_a_string_an_integer_or_null(
    caller: Caller, code_type: str, written: object
) -> None:
    schedule = [{"kind": "error_code", "route": route, "code_type": code_type} for route in ("submit", "queue_status")]
    assert await caller.post("/_emulator/faults", schedule) == {"added": 2}
    assert (await caller.submit())["errorCode"] == written
    assert (await caller.get("/openapi/v2/queue/status"))["code"] == written


async def test_an_error_code_can_have_a_task_status(caller: Caller) -> None:
    caller.server.faults.add(Fault("error_code", route="query", code="1012", task_status="FAILED", message="upstream"))
    answer = await caller.query("1")
    assert (answer["status"], answer["errorCode"], answer["errorMessage"]) == ("FAILED", "1012", "upstream")


async def test_an_error_can_name_a_task_that_exists_and_is_charged(caller: Caller) -> None:
    caller.server.faults.add(Fault("error_with_task"))
    answer = await caller.submit()
    recorded = fixture("submit_error_421_with_taskid")
    assert answer.keys() == recorded.keys()
    assert (answer["errorCode"], answer["status"]) == ("421", "RUNNING")
    assert (await caller.query(answer["taskId"]))["status"] == "RUNNING"
    assert caller.server.ledger.tasks[0].charged > 0


async def test_an_error_can_name_a_task_that_does_not_exist(caller: Caller) -> None:
    caller.server.faults.add(Fault("error_with_unknown_task"))
    answer = await caller.submit()
    assert answer["errorCode"] == "421"
    assert (await caller.query(answer["taskId"]))["errorCode"] == "1004"


async def test_an_error_with_task_is_the_normal_error_if_no_task_was_created(serve: Serve) -> None:
    caller = await serve(limit=0)
    caller.server.faults.add(Fault("error_with_task"))
    assert await caller.submit() == fixture("submit_error_421_concurrency")


async def test_a_query_with_a_fault_is_recorded_as_a_call_if_its_body_was_read(caller: Caller) -> None:
    caller.server.faults.add(Fault("gateway_502", route="query"), Fault("drop_before_body", route="query"))
    assert (await post_raw(caller, "/openapi/v2/query", {"taskId": "5"}))[0] == 502
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await caller.query("5")
    assert [question.task_id for question in caller.server.ledger.calls] == ["5"]
    assert [fault.task_id for fault in caller.server.ledger.faults] == ["5", ""]


async def test_a_fault_affects_the_nth_request_and_as_many_as_times_says(caller: Caller) -> None:
    caller.server.faults.add(Fault("error_code", nth=2, times=2, code="1003"))
    assert [(await caller.submit())["errorCode"] for _ in range(5)] == ["", "1003", "1003", "", ""]


async def test_a_fault_can_last_until_it_is_cleared(caller: Caller) -> None:
    caller.server.faults.add(Fault("error_code", times=None))
    assert {(await caller.submit())["errorCode"] for _ in range(5)} == {"1005"}
    async with caller.http.delete(f"{caller.server.url}/_emulator/faults", headers=caller.admin_headers) as response:
        assert response.status == 200
    assert (await caller.submit())["errorCode"] == ""


async def test_probability_is_drawn_from_the_seed(serve: Serve) -> None:
    patterns = []
    for seed in (1, 1, 2):
        caller = await serve(seed=seed)
        caller.server.faults.add(Fault("error_code", times=None, probability=0.3))
        patterns.append([(await caller.submit({}, endpoint="any/model"))["errorCode"] for _ in range(40)])
    assert patterns[0] == patterns[1] != patterns[2]
    assert 4 < patterns[0].count("1005") < 20


@pytest.mark.parametrize(
    "schedule",
    [
        {"kind": "nonsense"},
        {"kind": "empty_body", "nth": "first"},
        {"kind": "empty_body", "times": 0},
        {"kind": "empty_body", "colour": "red"},
        {"kind": "empty_body", "accepted": False},
        {"kind": "failed", "route": "query"},
        {"kind": "hang", "route": "task"},
        ["empty"],
        5,
    ],
)
async def test_an_invalid_fault_schedule_is_rejected(caller: Caller, schedule: object) -> None:
    status, body = await post_raw(caller, "/_emulator/faults", schedule)
    assert status == 400
    assert "error" in json.loads(body)


async def test_a_task_can_have_an_undocumented_status_for_some_responses(caller: Caller) -> None:
    caller.server.faults.add(Fault("unknown_status", task_status="PAUSED", responses=2))
    task_id = (await caller.submit())["taskId"]
    assert [(await caller.query(task_id))["status"] for _ in range(3)] == ["PAUSED", "PAUSED", "RUNNING"]


async def test_a_workflow_with_node_errors_is_accepted_and_fails_with_a_failed_reason(caller: Caller) -> None:
    caller.server.faults.add(Fault("node_errors"))
    accepted = await caller.submit()
    assert accepted["errorCode"] == ""
    prompt_tips, recorded = (
        json.loads(accepted["promptTips"]),
        json.loads(fixture("submit_prompttips_false")["promptTips"]),
    )
    assert prompt_tips == recorded
    await asyncio.sleep(3600)
    answer = await caller.query(accepted["taskId"])
    keys = "current_inputs current_outputs exception_message exception_type node_id node_name traceback"
    assert sorted(answer["failedReason"]) == keys.split()
    assert all(isinstance(value, str) for value in answer["failedReason"].values())


@pytest.mark.parametrize("reason", ["words", {"exception_message": "out of memory"}, ["a", "b"]])
async def test_a_failed_task_can_have_any_failed_reason(caller: Caller, reason: object) -> None:
    caller.server.faults.add(Fault("failed", failed_reason=reason))
    task_id = (await caller.submit())["taskId"]
    await asyncio.sleep(3600)
    assert (await caller.query(task_id))["failedReason"] == reason


@pytest.mark.parametrize(
    ("kind", "recorded", "code"),
    [
        ("moderation", "query_failed_moderation_1501", "1501"),
        ("real_person", "query_failed_real_person_1505", "1505"),
        ("failed", None, "1015"),
        ("node_errors", None, "1000"),
    ],
)
async def test_a_failed_task_responds_as_recorded_and_is_not_charged(
    caller: Caller, kind: FaultKind, recorded: str | None, code: str
) -> None:
    caller.server.faults.add(Fault(kind, nth=2))
    await caller.submit()
    task_id = await submit_and_settle(caller)
    answer = await caller.query(task_id)
    assert (answer["status"], answer["errorCode"]) == ("FAILED", code)
    if recorded:
        assert answer == fixture(recorded) | {"taskId": task_id}
    first, second = caller.server.ledger.tasks
    assert first.charged > second.charged == 0
    assert [(fault.route, fault.kind, fault.task_id) for fault in caller.server.ledger.faults] == [
        ("task", kind, task_id)
    ]


async def test_success_can_have_no_results_for_some_responses(caller: Caller) -> None:
    caller.server.faults.add(Fault("success_without_results", responses=2))
    task_id = await submit_and_settle(caller)
    answers = [await caller.query(task_id) for _ in range(3)]
    assert [answer["status"] for answer in answers] == ["SUCCESS"] * 3
    assert [bool(answer["results"]) for answer in answers] == [False, False, True]


async def test_a_task_can_succeed_on_submit(caller: Caller) -> None:
    caller.server.faults.add(Fault("success_on_submit"))
    answer = await caller.submit()
    assert answer["status"] == "SUCCESS"
    assert (await caller.fetch(answer["results"][0]["url"]))[0] == 200


async def test_a_new_task_can_be_not_found_for_some_seconds(caller: Caller) -> None:
    caller.server.faults.add(Fault("not_found_first", seconds=3))
    task_id = (await caller.submit())["taskId"]
    assert (await caller.query(task_id))["errorCode"] == "1004"
    await asyncio.sleep(3)
    assert (await caller.query(task_id))["status"] == "RUNNING"


async def test_a_slot_can_be_released_some_seconds_after_success(serve: Serve) -> None:
    caller = await serve(limit=1, run_time=60.0)
    caller.server.faults.add(Fault("slot_release_delay", seconds=10))
    task_id = (await caller.submit())["taskId"]
    await asyncio.sleep(65)
    assert (await caller.query(task_id))["status"] == "SUCCESS"
    assert (await caller.submit())["errorCode"] == "421"
    await asyncio.sleep(5)
    assert (await caller.submit())["errorCode"] == ""
    assert caller.server.ledger.tasks[0].settles_at == 60


async def test_foreign_tasks_use_slots_and_are_counted(serve: Serve) -> None:
    caller = await serve(limit=3)
    caller.server.faults.add(Fault("foreign_tasks", count=2, seconds=100))
    await caller.submit()
    assert (await caller.submit())["errorCode"] == "421"
    assert (await caller.get("/openapi/v2/queue/status"))["data"]["totalCurrentTasks"] == "3"
    await asyncio.sleep(100)
    assert (await caller.get("/openapi/v2/queue/status"))["data"]["totalCurrentTasks"] == "1"
    caller.server.faults.add(Fault("foreign_tasks", count=3))
    caller.server.faults.clear()
    assert (await caller.submit())["errorCode"] == ""


async def test_an_upload_can_return_the_file_name_of_other_content(caller: Caller) -> None:
    caller.server.faults.add(Fault("wrong_file_name"))
    wrong, right = [(await caller.upload(PNG, "media.png"))["data"]["fileName"] for _ in range(2)]
    sha = caller.server.ledger.uploads[0].sha256
    assert right == f"openapi/{sha}.png"
    assert wrong != right
    assert len(wrong) == len(right)


@pytest.mark.parametrize("kind", ["gateway_502", "http_429", "json_5xx"])
async def test_an_upload_that_gets_an_error_is_read_and_not_stored(caller: Caller, kind: FaultKind) -> None:
    caller.server.faults.add(Fault(kind, route="upload"))
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(mp4(3, tail=bytes(3 << 20))), filename="media.mp4")
    url = f"{caller.server.url}/openapi/v2/media/upload/binary"
    async with caller.http.post(url, data=form) as response:
        assert response.status == FAULT_KINDS[kind].status
    assert caller.server.ledger.uploads == []


async def test_an_upload_dropped_before_its_body_is_not_stored(caller: Caller) -> None:
    caller.server.faults.add(Fault("drop_before_body", route="upload"))
    with pytest.raises(aiohttp.ClientError):
        await caller.upload(mp4(3, tail=bytes(3 << 20)), "media.mp4")
    assert caller.server.ledger.uploads == []
    assert (await caller.upload(PNG, "media.png"))["code"] == 0


async def result_url(caller: Caller) -> str:
    """Run a task with an uploaded video, and return the link of its result."""
    video = (await caller.upload(mp4(3, tail=bytes(100_000)), "media.mp4"))["data"]["download_url"]
    task_id = (await caller.submit(BODY | {"videoUrl": video}))["taskId"]
    await asyncio.sleep(3600)
    url: str = (await caller.query(task_id))["results"][0]["url"]
    return url


@pytest.mark.parametrize("kind", ["truncated_file", "drop_mid_response"])
async def test_a_download_can_end_before_its_content_length(caller: Caller, kind: FaultKind) -> None:
    url = await result_url(caller)
    caller.server.faults.add(Fault(kind, route="download"))
    async with caller.http.get(url) as response:
        assert (response.content_length or 0) > len(mp4(3, tail=bytes(100_000)))
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert len((await caller.fetch(url))[1]) == response.content_length


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_download_link_can_be_expired(caller: Caller, status: int) -> None:
    url = await result_url(caller)
    caller.server.faults.add(Fault("expired_link", status=status))
    assert (await caller.fetch(url))[0] == status
    assert [record.status for record in caller.server.ledger.downloads] == [status]


async def test_a_download_can_be_redirected_to_another_link(caller: Caller) -> None:
    url = await result_url(caller)
    caller.server.faults.add(Fault("redirected_link"))
    status, content = await caller.fetch(url)
    assert status == 200
    assert content.startswith(mp4(3, tail=bytes(100_000)))
    assert [record.status for record in caller.server.ledger.downloads] == [302, 200]


async def test_a_download_that_hangs_does_not_delay_the_shutdown(serve: Serve) -> None:
    async with Emulator(run_time=1.0) as server, aiohttp.ClientSession() as http:
        caller = Caller(server, http)
        url = await result_url(caller)
        server.faults.add(Fault("hang", route="download"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100):
                await caller.fetch(url)
        stop_started = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - stop_started < 1


async def test_a_fault_can_be_scheduled_over_http_and_is_in_the_ledger(caller: Caller) -> None:
    await caller.post("/_emulator/faults", {"kind": "drop_after_accept", "nth": 1})
    assert await outcome(caller) is aiohttp.ServerDisconnectedError
    page: Json = await caller.get("/_emulator/ledger")
    [row] = page["faults"]
    assert row == {
        "at": row["at"],
        "route": "submit",
        "kind": "drop_after_accept",
        "task_id": page["tasks"][0]["task_id"],
        "ambiguous": True,
    }


KINDS_FOR_EVERY_ROUTE = (
    *(
        "refuse_connections",
        "drop_before_body",
        "drop_after_accept",
        "drop_mid_response",
        "hang",
        "redirect_307",
        "gateway_502",
    ),
    *("http_429", "json_5xx", "invalid_body", "empty_body", "slow_response", "error_code"),
)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_many_random_faults_leave_the_ledger_consistent_and_no_connection_open(seed: int) -> None:
    connector = aiohttp.TCPConnector(force_close=True)
    async with Emulator(seed=seed, limit=1000) as server, aiohttp.ClientSession(connector=connector) as http:
        caller = Caller(server, http)
        for kind in KINDS_FOR_EVERY_ROUTE:
            for route in ("submit", "query", "upload", "download"):
                server.faults.add(Fault(kind, route=route, times=None, probability=0.01, seconds=20))  # type: ignore[arg-type]
        found = set(await asyncio.gather(*(run_job_with_retries(caller) for _ in range(40)))) - {""}
        stop_started = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - stop_started < 1
    ledger = server.ledger
    assert found <= {task.task_id for task in ledger.tasks}
    accepted = {task.task_id for task in ledger.tasks if task.endpoint == KLING}  # redirects go elsewhere
    assert accepted == {record.task_id for record in ledger.submissions if record.task_id and record.endpoint == KLING}
    affected = {record.task_id for record in ledger.faults if record.ambiguous and record.task_id}
    assert accepted - found <= affected


async def run_job_with_retries(caller: Caller) -> str:
    """Upload, submit once, poll and download, each with retries; return the task id, "" if none was received."""
    uploaded = await retry_until(lambda: caller.upload(mp4(3), "media.mp4"), lambda answer: answer["code"] == 0)
    body = BODY | {"videoUrl": uploaded["data"]["download_url"]}
    submitted = await retry_until(lambda: submit_once(caller, body), lambda answer: "taskId" in answer, tries=1)
    task_id: str = submitted.get("taskId", "")
    if task_id:
        done = await retry_until(lambda: caller.query(task_id), lambda answer: answer["status"] == "SUCCESS")
        await retry_until(lambda: download_complete(caller, done["results"][0]["url"]), bool)
    return task_id


async def submit_once(caller: Caller, body: Json) -> Json:
    while True:
        try:
            return await caller.submit(body)
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(5)


def is_complete(content: bytes) -> bool:
    return content.startswith(mp4(3)) and len(content) == len(mp4(3) + free_box("0" * 19))


async def download_complete(caller: Caller, url: str) -> Json:
    status, content = await caller.fetch(url)
    return {"content": content} if status == 200 and is_complete(content) else {}


async def retry_until(
    call: Callable[[], Awaitable[Json]], is_good: Callable[[Json], bool], *, tries: int = 1000
) -> Json:
    for _ in range(tries):
        with suppress(aiohttp.ClientError, TimeoutError, AssertionError, ValueError, KeyError, TypeError):
            async with asyncio.timeout(30):
                if is_good(answer := await call()):
                    return answer
        await asyncio.sleep(5)
    return {}
