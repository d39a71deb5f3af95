"""Test which submits are accepted, and the documented errors for the others."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from rh_async.emulator import Emulator, snowflake_at
from tests.emulator.conftest import BODY, KLING, PNG, WAN, Caller, Json, Serve, fixture, mp4

pytestmark = pytest.mark.quick

KLING_26 = "kling-v2.6-std/motion-control"


async def test_an_accepted_submit_gets_the_documented_response(caller: Caller) -> None:
    answer = await caller.submit()
    assert answer.keys() == fixture("submit_success_running").keys()
    assert answer["status"] == "RUNNING"
    assert len(answer["taskId"]) == 19
    assert answer["taskId"].isdecimal()


async def test_a_model_that_is_a_workflow_returns_prompt_tips(caller: Caller) -> None:
    image = await caller.upload(PNG, "media.png")
    video = await caller.upload(mp4(4), "media.mp4")
    body = {"299##image": image["data"]["fileName"], "275##video": video["data"]["fileName"]}
    answer = await caller.submit(body, endpoint=WAN)
    recorded = fixture("submit_success_running")
    assert answer["promptTips"] == recorded["promptTips"]
    assert len(answer["clientId"]) == 32


@pytest.mark.parametrize(
    ("endpoint", "recorded"),
    [
        (KLING, "request_kling_v3_std_motion_control"),
        ("kling-v3.0-pro/motion-control", "request_kling_v3_pro_motion_control_full"),
        (KLING_26, "request_kling_v26_std_motion_control"),
        ("bytedance/dreamactor-v2", "request_dreamactor_v2"),
    ],
)
async def test_every_recorded_request_is_accepted(caller: Caller, endpoint: str, recorded: str) -> None:
    assert (await caller.submit(fixture(recorded), endpoint=endpoint))["errorCode"] == ""


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"imageUrl": None}, "1007", "field 'imageUrl' is required, can not be empty"),
        ({"videoUrl": ""}, "1007", "field 'videoUrl' is required, can not be empty"),
        ({"videoUrl": "dance.mp4"}, "1007", "field 'videoUrl' is invalid"),
        ({"imageUrl": "data:video/mp4;base64,AAAA"}, "1007", "field 'imageUrl' is invalid"),
        ({"imageUrl": 5}, "1007", "failed to parse request body"),
        (
            {"characterOrientation": "left"},
            "1007",
            "field 'characterOrientation' value left is not in the allowed options",
        ),
        ({"keepOriginalSound": "yes"}, "1007", "failed to parse request body"),
        ({"prompt": "x" * 2501}, "1007", "field 'prompt' length must be between 0 and 2500"),
        ({"prompt": 5}, "1007", "failed to parse request body"),
        ({"elementList": "one"}, "1007", "failed to parse request body"),
        ({"seed": 5}, "1007", "field 'seed' is invalid"),
        ({"webhookUrl": "localhost"}, "1007", "field 'webhookUrl' is invalid"),
        ({"imageUrl": "data:image/png;base64,AAAA"}, "", ""),
        ({"webhookUrl": "https://example.test/hook", "appCode": "comfyui_rh_openapi"}, "", ""),
    ],
)
async def test_parameters_are_validated_by_the_models_fields(
    caller: Caller, change: Json, code: str, message: str
) -> None:
    answer = await caller.submit(BODY | change)
    assert (answer["errorCode"], answer["errorMessage"]) == (code, message)
    if code:
        assert answer == fixture("submit_error_1007_required") | {"errorMessage": message}
    assert [record.code for record in caller.server.ledger.submissions] == [code]
    assert len(caller.server.ledger.tasks) == (not code)


@pytest.mark.parametrize("field", ["negativePrompt", "elementList"])
async def test_kling_2_6_has_fewer_parameters(caller: Caller, field: str) -> None:
    answer = await caller.submit(BODY | {field: "x"}, endpoint=KLING_26)
    assert answer["errorMessage"] == f"field '{field}' is invalid"


async def test_kling_2_6_takes_yes_or_no_for_the_original_sound(caller: Caller) -> None:
    assert (await caller.submit(BODY | {"keepOriginalSound": True}, endpoint=KLING_26))["errorCode"] == "1007"
    assert (await caller.submit(BODY | {"keepOriginalSound": "maybe"}, endpoint=KLING_26))["errorCode"] == "1007"
    assert (await caller.submit(BODY | {"keepOriginalSound": "no"}, endpoint=KLING_26))["errorCode"] == ""


@pytest.mark.parametrize(("key_type", "code"), [("NORMAL", "1014"), ("EXCLUSIVE", "1014"), ("FREE", "801")])
async def test_standard_models_require_a_shared_key(caller: Caller, key_type: str, code: str) -> None:
    answer = await caller.submit(key=caller.server.keys[key_type])
    assert answer["errorCode"] == code
    assert answer.keys() == fixture("submit_error_806_bad_key").keys()


async def test_a_submit_with_an_unknown_key_is_rejected(caller: Caller) -> None:
    assert await caller.submit(key="0" * 32) == fixture("submit_error_806_bad_key")


@pytest.mark.parametrize("endpoint", ["unknown", "kling-v3.0-4k/motion-control", "run/ai-app/1", "media/upload/other"])
async def test_a_path_without_a_model_is_rejected_as_an_invalid_url(caller: Caller, endpoint: str) -> None:
    assert await caller.submit(endpoint=endpoint) == fixture("submit_error_1001_unknown_path")


async def test_an_undocumented_model_accepts_any_json_object(caller: Caller) -> None:
    assert (await caller.submit({"prompt": "x", "seed": 5}, endpoint="any/model"))["errorCode"] == ""
    assert (await caller.submit({}, endpoint="alibaba/happyhorse-1.1/image-to-video"))["errorCode"] == ""  # partial


async def test_an_undocumented_model_still_validates_links_and_file_names(caller: Caller) -> None:
    assert (await caller.submit({"imageUrls": ["hero.png"]}, endpoint="any/model"))["errorCode"] == "1007"
    assert (await caller.submit({"firstUrl": 5}, endpoint="any/model"))["errorCode"] == "1007"
    assert (await caller.submit({"12##image": "https://example.test/x.png"}, endpoint="any/model"))[
        "errorCode"
    ] == "1007"
    assert (await caller.submit({"imageUrl": "data:image/png;base64,AAAA"}, endpoint="any/model"))["errorCode"] == ""


@pytest.mark.parametrize(
    ("data", "content_type"), [(b"[]", "application/json"), (b"{", "application/json"), (b"{}", "text/plain")]
)
async def test_a_body_that_is_no_json_object_is_rejected(caller: Caller, data: bytes, content_type: str) -> None:
    headers = {"Authorization": f"Bearer {caller.server.api_key}", "Content-Type": content_type}
    async with caller.http.post(f"{caller.server.url}/openapi/v2/{KLING}", data=data, headers=headers) as response:
        answer = await response.json()
    assert (answer["errorCode"], answer["errorMessage"]) == ("1007", "failed to parse request body")


@pytest.mark.parametrize("header", [{}, {"Authorization": "0" * 32}, {"Authorization": "Basic x"}])
async def test_a_submit_without_a_bearer_key_is_rejected(caller: Caller, header: dict[str, str]) -> None:
    async with caller.http.post(f"{caller.server.url}/openapi/v2/{KLING}", json=BODY, headers=header) as response:
        assert (await response.json())["errorCode"] == "1002"


async def test_another_http_method_is_rejected(caller: Caller) -> None:
    assert (await caller.get(f"/openapi/v2/{KLING}"))["errorCode"] == "1009"
    assert (await caller.post("/openapi/v2/queue/status", {}))["code"] == 1009


async def test_submits_above_the_accounts_limit_are_rejected_until_a_task_settles(serve: Serve) -> None:
    caller = await serve(limit=2, run_time=60.0)
    await caller.submit()
    await caller.submit()
    assert await caller.submit() == fixture("submit_error_421_concurrency")
    await asyncio.sleep(60)
    assert (await caller.submit())["errorCode"] == ""
    assert caller.server.ledger.peak_unsettled() == 2


async def test_a_submit_that_the_wallet_cannot_pay_creates_no_task(serve: Serve) -> None:
    caller = await serve(balance=8.1)
    assert [(await caller.submit())["errorCode"] for _ in range(2)] == ["", ""]
    assert await caller.submit() == fixture("submit_error_812_balance")
    assert caller.server.ledger.total_charged == Decimal("8.10")


async def test_a_seed_repeats_keys_ids_and_run_times(serve: Serve) -> None:
    first, second, other = await serve(seed=7), await serve(seed=7), await serve(seed=8)
    for caller in (first, second, other):
        await caller.submit()
        await caller.submit(endpoint=KLING_26)

    def facts(server: Emulator) -> list[object]:
        return [server.keys, [(task.task_id, task.settles_at) for task in server.ledger.tasks]]

    assert facts(first.server) == facts(second.server)
    assert facts(first.server) != facts(other.server)


async def test_a_later_start_draws_higher_task_ids_from_the_same_seed(serve: Serve) -> None:
    starts = [snowflake_at(1_789_000_000.0), snowflake_at(1_789_000_000.5), snowflake_at(1_789_086_400.0)]
    servers = [await serve(seed=1, task_ids_above=start) for start in (None, *starts)]
    tasks = [[(await caller.submit())["taskId"] for _ in range(40)] for caller in servers]
    assert tasks[1] < tasks[2] < tasks[3]
    assert len({task_id for ids in tasks for task_id in ids}) == 160
    assert {len(task_id) for ids in tasks for task_id in ids} == {19}
    assert len({caller.server.api_key for caller in servers}) == 1


async def test_task_ids_increase(caller: Caller) -> None:
    ids = [int((await caller.submit())["taskId"]) for _ in range(20)]
    assert ids == sorted(set(ids))


async def test_run_times_are_scaled_and_can_come_from_a_function(serve: Serve) -> None:
    caller = await serve(run_time=lambda endpoint, _rng: float(len(endpoint)), scale=0.5)
    await caller.submit()
    [task] = caller.server.ledger.tasks
    assert task.settles_at == task.created_at + len(KLING) / 2


async def test_a_price_preview_creates_no_task(caller: Caller) -> None:
    answer = await caller.post(f"/openapi/v2/price-preview/{KLING}", BODY)
    assert answer.keys() == fixture("price_preview").keys()
    assert answer["estimatedPrice"] == pytest.approx(4.05)
    assert caller.server.ledger.tasks == []
    assert await caller.post("/openapi/v2/price-preview/any/model", {}) == fixture("price_preview_error_1501")
    assert (await caller.post(f"/openapi/v2/price-preview/{KLING}", {})).keys() == {"errorCode", "errorMessage"}
