"""Test the life of a task through the API: queued, running, settled, cancelled, charged."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from tests.emulator.conftest import BODY, KLING, PNG, WAN, Caller, Json, Serve, fixture, mp4


async def test_a_task_runs_and_then_succeeds_with_a_result_link_and_usage(caller: Caller) -> None:
    video = await caller.upload(mp4(9.2), "media.mp4")
    task_id = (await caller.submit(BODY | {"videoUrl": video["data"]["download_url"]}))["taskId"]
    assert await caller.query(task_id) == fixture("query_running") | {"taskId": task_id}
    await asyncio.sleep(60)
    answer = await caller.query(task_id)
    recorded = fixture("query_success_motion")
    assert answer.keys() == recorded.keys()
    assert answer["usage"] == recorded["usage"]
    assert answer["results"][0].keys() == recorded["results"][0].keys()
    assert answer["results"][0]["outputType"] == "mp4"
    assert caller.server.ledger.total_charged == Decimal("8.10")


async def test_a_video_of_unknown_duration_is_billed_as_five_seconds(caller: Caller) -> None:
    await caller.submit(endpoint="kling-v3.0-pro/motion-control")
    assert caller.server.ledger.total_charged == Decimal("5.40")


async def test_a_model_at_its_limit_queues_tasks_and_starts_one_exactly_when_another_settles(serve: Serve) -> None:
    durations = iter([30.0, 50.0, 10.0, 5.0])
    caller = await serve(model_limits={KLING: 2}, run_time=lambda _endpoint, _rng: next(durations))
    ids = [(await caller.submit())["taskId"] for _ in range(4)]
    assert await caller.query(ids[2]) == fixture("query_queued") | {"taskId": ids[2]}
    await asyncio.sleep(1000)  # without a request meanwhile
    times = [(task.started_at, task.settles_at) for task in caller.server.ledger.tasks]
    assert times == [(0, 30), (0, 50), (30, 40), (40, 45)]


async def test_a_submit_that_is_queued_responds_with_that_status(serve: Serve) -> None:
    caller = await serve(model_limits={KLING: 1})
    await caller.submit()
    answer = await caller.submit()
    assert answer.keys() == fixture("submit_success_queued").keys()
    assert answer["status"] == "QUEUED"


async def test_a_task_of_another_model_does_not_wait_in_the_same_queue(serve: Serve) -> None:
    caller = await serve(model_limits={KLING: 1})
    assert [(await caller.submit())["status"] for _ in range(2)] == ["RUNNING", "QUEUED"]
    assert (await caller.submit(endpoint="any/model"))["status"] == "RUNNING"


async def test_a_personal_queue_lets_submits_wait_for_the_account(serve: Serve) -> None:
    caller = await serve(limit=1, queue=True, run_time=10.0)
    ids = [(await caller.submit())["taskId"] for _ in range(3)]
    await asyncio.sleep(15)
    assert [(await caller.query(task_id))["status"] for task_id in ids] == ["SUCCESS", "RUNNING", "QUEUED"]


async def test_a_personal_queue_has_a_maximum_length(serve: Serve) -> None:
    caller = await serve(limit=1, queue=True)
    answers = [await caller.submit({}, endpoint="any/model") for _ in range(1002)]
    assert [answer["errorCode"] for answer in answers[-2:]] == ["", "814"]


async def test_a_cancelled_task_has_that_status_and_its_slot_goes_to_the_next(serve: Serve) -> None:
    caller = await serve(model_limits={KLING: 1}, run_time=60.0)
    first, second, third = [(await caller.submit())["taskId"] for _ in range(3)]
    await asyncio.sleep(10)
    assert await cancel(caller, second) == fixture("v1_cancel_success")
    assert await cancel(caller, first) == fixture("v1_cancel_success")
    assert await caller.query(first) == fixture("query_cancelled") | {"taskId": first}
    assert (await caller.query(second))["status"] == "CANCEL"
    assert (await caller.query(third))["status"] == "RUNNING"
    assert [(task.started_at, task.settles_at) for task in caller.server.ledger.tasks] == [
        (0, 10),
        (None, 10),
        (10, 70),
    ]


async def test_only_an_existing_unsettled_task_can_be_cancelled(caller: Caller) -> None:
    assert await cancel(caller, "1999999999999999999") == fixture("v1_cancel_error_807")
    task_id = (await caller.submit())["taskId"]
    await asyncio.sleep(60)
    answer = await cancel(caller, task_id)
    assert (answer["code"], answer["msg"]) == (817, "APIKEY_TASK_CANCEL_NOT_ALLOWED")


async def cancel(caller: Caller, task_id: str) -> Json:
    return await caller.post("/task/openapi/cancel", {"apiKey": caller.server.api_key, "taskId": task_id})


V1 = [
    ("/task/openapi/cancel", "apiKey", {"taskId": "1999999999999999999"}),
    ("/uc/openapi/accountStatus", "apikey", {}),
]


@pytest.mark.parametrize(("path", "name", "more"), V1)
async def test_a_v1_call_takes_its_key_from_the_body_and_a_key_in_the_header_must_be_the_same(
    caller: Caller, path: str, name: str, more: Json
) -> None:
    mine, other = caller.server.api_key, caller.server.keys["NORMAL"]

    async def code(body: Json, header: str | None) -> int:
        headers = {} if header is None else {"Authorization": f"Bearer {header}"}
        async with caller.http.post(caller.server.url + path, json=body | more, headers=headers) as response:
            error_code: int = (await response.json())["code"]
            return error_code

    good = await code({name: mine}, mine)
    assert good in {0, 807}
    assert await code({name: mine}, None) == good
    assert [await code({name: mine}, other), await code({name: mine}, "x"), await code({name: "x"}, None)] == [
        802,
        806,
        806,
    ]
    assert [await code({}, mine), await code({}, None), await code({name: ""}, mine)] == [301] * 3


async def test_a_v1_get_takes_its_key_from_the_query(caller: Caller) -> None:
    path = f"{caller.server.url}/api/webapp/apiCallDemo?webappId=1&apiKey="
    codes = []
    for key in (caller.server.api_key, "x", ""):
        async with caller.http.get(path + key) as response:
            codes.append((await response.json())["code"])
    assert codes == [901, 806, 301]


async def test_an_unknown_task_is_not_found_and_its_id_is_returned(caller: Caller) -> None:
    recorded = fixture("query_error_1004_not_found")
    assert await caller.query(recorded["taskId"]) == recorded


async def test_a_task_is_found_only_with_its_own_key(caller: Caller) -> None:
    task_id = (await caller.submit())["taskId"]
    assert (await caller.query(task_id, key=caller.server.keys["NORMAL"]))["errorCode"] == "1004"


@pytest.mark.parametrize("task_id", ["abc", "", None, 1.5, True, "12 "])
async def test_a_task_id_that_is_no_integer_is_rejected_as_unparsable(caller: Caller, task_id: object) -> None:
    answer = await caller.query(task_id)
    assert (answer["taskId"], answer["errorCode"], answer["errorMessage"]) == (
        "",
        "1007",
        "failed to parse request body",
    )


async def test_the_task_id_zero_is_rejected_before_the_key_is_checked(caller: Caller) -> None:
    assert (await caller.query("0", key="wrong"))["errorCode"] == "1007"


async def test_a_query_with_an_unknown_key_is_rejected(caller: Caller) -> None:
    assert await caller.query("999999999", key="wrong") == fixture("query_error_806_bad_key")


async def test_the_queue_counters_are_text(serve: Serve) -> None:
    caller = await serve(limit=30, model_limits={KLING: 1})
    for _ in range(3):
        await caller.submit()
    assert await caller.get("/openapi/v2/queue/status") == fixture("queue_status")


async def test_the_queue_counters_of_another_key_do_not_count_these_tasks(caller: Caller) -> None:
    await caller.submit()
    answer = await caller.get("/openapi/v2/queue/status", key=caller.server.keys["EXCLUSIVE"])
    assert answer["data"]["apiKeyType"] == "EXCLUSIVE"
    assert answer["data"]["totalCurrentTasks"] == "0"
    assert answer["data"]["instanceCount"] == "1"


async def test_account_status_takes_the_key_only_under_its_lower_case_name(caller: Caller) -> None:
    await caller.submit()
    path, key = "/uc/openapi/accountStatus", caller.server.api_key
    assert await caller.post(path, {"apikey": key}) == fixture("account_status_shared")
    assert (await caller.post(path, {"apiKey": key}))["code"] == 301
    assert (await caller.post(path, {"apikey": caller.server.keys["FREE"]}))["code"] == 802
    assert await caller.post(path, {"apikey": "x"}, key="x") == fixture("account_status_bad_key_806")


async def test_a_member_account_has_coins_and_no_money(caller: Caller) -> None:
    key = caller.server.keys["NORMAL"]
    assert await caller.post("/uc/openapi/accountStatus", {"apikey": key}, key=key) == fixture("account_status")


async def test_account_status_reports_the_remaining_balance(serve: Serve) -> None:
    caller = await serve(balance=10)
    await caller.submit()
    answer = await caller.post("/uc/openapi/accountStatus", {"apikey": caller.server.api_key})
    assert answer["data"]["remainMoney"] == "5.95"


async def test_the_ledger_over_http_equals_the_ledger_in_the_process(caller: Caller) -> None:
    await caller.upload(PNG, "media.png")
    task_id = (await caller.submit())["taskId"]
    await caller.submit({}, endpoint=WAN)
    await caller.query(task_id)
    await caller.get("/openapi/v2/queue/status")
    page = await caller.get("/_emulator/ledger")
    ledger = caller.server.ledger
    assert [(row["code"], row["task_id"]) for row in page["submissions"]] == [("", task_id), ("1007", "")]
    assert page["submissions"][0]["body"] == BODY
    assert [row["task_id"] for row in page["tasks"]] == [task_id]
    assert page["tasks"][0]["charged"] == page["total_charged"] == "4.05"
    assert [(row["kind"], row["task_id"]) for row in page["calls"]] == [("query", task_id), ("queue_status", None)]
    assert page["uploads"][0]["sha256"] == ledger.uploads[0].sha256
    assert page["peak_unsettled"] == ledger.peak_unsettled() == 1
    assert caller.server.api_key not in str(page)


async def test_the_ledger_counts_unsettled_tasks_at_any_moment(caller: Caller) -> None:
    ledger = caller.server.ledger
    for _ in range(3):
        await caller.submit()
        await asyncio.sleep(25)
    assert [ledger.unsettled(at) for at in (0, 25, 50, 60, 85, 110)] == [1, 2, 3, 2, 1, 0]
    assert ledger.peak_unsettled() == 3
