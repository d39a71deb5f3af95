"""What is sent, byte for byte, and what every answer means: each fixture, and the rules no fixture shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from attrs import evolve, frozen

from rh_async import Account, ApiError, Output, RHError, Snapshot, SubmitUnknown, TaskId, Usage
from rh_async._api.endpoints import (
    CURRENCIES,
    UploadResponse,
    decode_account,
    decode_queue_status,
    decode_upload,
    decode_webhook,
    download_error,
    encode_account,
    encode_queue_status,
    encode_upload,
)
from rh_async._api.standard_tasks import PriceQuote, submit_unknown
from rh_async._api.task_family import STANDARD
from rh_async._api.wire import ApiCall, ApiResponse, Route
from rh_async.errors import (
    AtCapacity,
    AuthenticationFailed,
    BalanceExhausted,
    ContentRejected,
    InvalidResponse,
    ModelUnavailable,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerFault,
)
from tests.pure.samples import answer, answer_of, value_of

encode_submit, decode_submit = partial(STANDARD.encode_submit, "key"), STANDARD.decode_submit
encode_query, decode_query = partial(STANDARD.encode_query, "key"), STANDARD.decode_query
encode_cancel, decode_cancel, decode_price = STANDARD.encode_cancel, STANDARD.decode_cancel, STANDARD.decode_price

TASK = TaskId("2013508786110730241")
OTHER = TaskId("2019324151986266999")
COMFY = TaskId("1904737800233889793")


@frozen(kw_only=True)
class Refused:
    """What an answer raises."""

    kind: type[RHError]
    code: str = ""
    retryable: bool = False
    maybe_billed: bool = False
    task_id: str | None = None
    phase: str = "submit"


def meaning(decode: Callable[[], object]) -> object:
    """What a decoder returned, or the facts of what it raised."""
    try:
        return decode()
    except RHError as error:
        return Refused(
            kind=type(error),
            code=error.code,
            retryable=error.retryable,
            maybe_billed=error.maybe_billed,
            task_id=error.task_id,
            phase=error.phase,
        )


# --- the fixtures -----------------------------------------------------------------------------------------------------

CN = "https://rh-images-1252422369.cos.ap-beijing.myqcloud.com"
COS = f"{CN}/0123456789abcdef0123456789abcdef/output"
STORE = "https://rh-images-switch-1252422369.cos.ap-guangzhou.myqcloud.com/input"
SHA = "f16d05ec6b29248d2c61adb1e9263f78e4f7bace1b955014a2d17872cfe4064d"
PIXEL = "c01aef53014548b229559cc463950d343da4469558a2f9c66b32669a7afeeebf"
SIGNED = (
    "q-sign-algorithm=sha1&q-ak=REDACTED&q-sign-time=1780000000;1780086400&q-key-time=1780000000;1780086400"
    "&q-header-list=host&q-url-param-list=&q-signature=REDACTED"
)
REQUEST_OF_QUERY = "request_query.json"

READ: dict[str, object] = {
    "submit_success_running.json": Snapshot(task_id=TASK, status="RUNNING"),
    "submit_success_queued.json": Snapshot(task_id=TaskId("2013508786110730242"), status="QUEUED"),
    "submit_success_int_taskid.json": Snapshot(task_id=TASK, status="RUNNING"),
    "submit_run_v2_accepted.json": Snapshot(task_id=TaskId("2060732799526334466"), status="RUNNING"),
    "submit_prompttips_false.json": Snapshot(
        task_id=TASK,
        status="RUNNING",
        flaw="Prompt outputs failed validation; node 299 (LoadImage): Value not in list: image: 'x.png' not in []",
    ),
    "v1_create_success_queued.json": Snapshot(task_id=TaskId("1910246754753896450"), status="QUEUED"),
    "v1_create_success_running.json": Snapshot(task_id=COMFY, status="RUNNING"),
    "v1_create_success_running_wss.json": Snapshot(task_id=COMFY, status="RUNNING"),
    "v1_create_node_errors.json": Snapshot(
        task_id=COMFY, status="QUEUED", flaw="node 6 (CLIPTextEncode): Value not in list"
    ),
    "v1_create_error_301.json": Refused(kind=RequestRejected, code="301"),
    "v1_create_error_416.json": Refused(kind=BalanceExhausted, code="416"),
    "v1_create_error_421.json": Refused(kind=AtCapacity, code="421", retryable=True),
    "v1_create_error_803.json": Refused(kind=RequestRejected, code="803"),
    "v1_create_error_1520.json": Refused(kind=AtCapacity, code="1520", retryable=True),
    "submit_error_1001_unknown_path.json": Refused(kind=RequestRejected, code="1001"),
    "submit_error_1003_rate.json": Refused(kind=RateLimited, code="1003", retryable=True),
    "submit_error_1007_option.json": Refused(kind=RequestRejected, code="1007"),
    "submit_error_1007_required.json": Refused(kind=RequestRejected, code="1007"),
    "submit_error_1007_url.json": Refused(kind=RequestRejected, code="1007"),
    "submit_error_1501_moderation.json": Refused(kind=ContentRejected, code="1501"),
    "submit_error_1520_concurrency.json": Refused(kind=AtCapacity, code="1520", retryable=True),
    "submit_error_421_concurrency.json": Refused(kind=AtCapacity, code="421", retryable=True),
    "submit_error_421_with_taskid.json": Refused(kind=AtCapacity, code="421", retryable=True, task_id=OTHER),
    "submit_error_806_bad_key.json": Refused(kind=AuthenticationFailed, code="806"),
    "submit_error_812_balance.json": Refused(kind=BalanceExhausted, code="812"),
    "query_queued.json": Snapshot(task_id=TASK, status="QUEUED"),
    "query_running.json": Snapshot(task_id=TASK, status="RUNNING"),
    "query_cancelled.json": Snapshot(task_id=TASK, status="CANCEL"),
    "query_success_motion.json": Snapshot(
        task_id=TASK,
        status="SUCCESS",
        outputs=(Output(url=f"{COS}/video_00001.mp4", type="mp4"),),
        usage=Usage(money=Decimal("8.1"), currency="CNY", coins=Decimal(0), seconds=Decimal(0)),
    ),
    "query_success_official.json": Snapshot(
        task_id=TaskId("2009191190196789249"),
        status="SUCCESS",
        outputs=(Output(url=f"{COS}/0a1b2c3d4e5f.jpg", type="jpg"),),
    ),
    "query_failed_moderation_1501.json": Snapshot(
        task_id=TASK,
        status="FAILED",
        code="1501",
        message="Content verification failed, 改提示词或图片",
        usage=Usage(seconds=Decimal(0)),
    ),
    "query_failed_real_person_1505.json": Snapshot(
        task_id=TASK, status="FAILED", code="1505", message="Real person prohibited"
    ),
    "query_short_running_official.json": Snapshot(task_id=TASK, status="RUNNING"),
    "query_busy_1011.json": Snapshot(
        task_id=TASK,
        status="FAILED",
        code="1011",
        message="The model is currently busy, please retry later | 模型负载较高，请稍后重试",
    ),
    "query_1005_internal.json": Snapshot(
        task_id=TASK,
        status="FAILED",
        code="1005",
        message="Internal server error, please retry later | 系统内部错误，请重试",
    ),
    "query_schema_failedreason_string.json": Snapshot(task_id=TASK, status="FAILED", code="1000", reason="string"),
    "query_outputurl_alias.json": Snapshot(
        task_id=TASK, status="SUCCESS", outputs=(Output(url="https://example.test/a.mp4", type="video"),)
    ),
    "query_text_result.json": Snapshot(
        task_id=TASK,
        status="SUCCESS",
        outputs=(Output(type="txt", text="a cat on a sofa"),),
        usage=Usage(money=Decimal("0.02"), currency="CNY", coins=Decimal(0), seconds=Decimal(0)),
    ),
    "query_two_results_comfy.json": Snapshot(
        task_id=TASK,
        status="SUCCESS",
        outputs=(
            Output(url=f"{CN}/0/output/ComfyUI_00005_a_1.png", type="png", node_id="117"),
            Output(url=f"{CN}/0/output/ComfyUI_00006_b_1.png", type="png", node_id="117"),
        ),
        usage=Usage(coins=Decimal(25), seconds=Decimal(121)),
    ),
    "query_error_1004_not_found.json": Refused(
        kind=NotFound, code="1004", task_id="1999999999999999999", phase="query"
    ),
    "query_error_806_bad_key.json": Refused(kind=AuthenticationFailed, code="806", task_id=TASK, phase="query"),
    "upload_v2_success.json": UploadResponse(file_name=f"openapi/{SHA}.png", url=f"{STORE}/openapi/{SHA}.png?{SIGNED}"),
    "upload_v2_success_video.json": UploadResponse(
        file_name=f"openapi/{SHA}.mp4", url=f"{STORE}/openapi/{SHA}.mp4?{SIGNED}"
    ),
    "upload_v2_error_bad_key.json": Refused(kind=AuthenticationFailed, code="401", phase="upload"),
    "upload_code200_filename.json": UploadResponse(file_name="openapi/image.png", url="https://example.com/image.png"),
    "upload_live_1x1.json": UploadResponse(
        file_name=f"openapi/{PIXEL}.png", url=f"https://example.test/input/openapi/{PIXEL}.png"
    ),
    "upload_v1style_key_rejected.json": Refused(kind=AuthenticationFailed, code="-1", retryable=True, phase="upload"),
    "upload_v1style_key_missing.json": Refused(kind=AuthenticationFailed, code="-1", phase="upload"),
    # The legacy route's answer has no link, which no Standard Model field can do without.
    "upload_v1_success.json": Refused(kind=InvalidResponse, retryable=True, phase="upload"),
    "upload_v1_error_401.json": Refused(kind=AuthenticationFailed, code="-1", retryable=True, phase="upload"),
    "account_status.json": Account(key_type="NORMAL", running=0, coins=Decimal(1100)),
    "account_status_shared.json": Account(
        key_type="SHARED", running=1, money=Decimal(999), currency="CNY", coins=Decimal(0)
    ),
    "account_status_bad_key_806.json": Refused(kind=AuthenticationFailed, code="806", phase="account"),
    "queue_status.json": Account(key_type="SHARED", limit=30, running=1, queued=2),
    "price_preview.json": PriceQuote(Decimal("4.8"), "CNY"),
    "price_preview_error_1501.json": Refused(kind=NotFound, code="1501", phase="price"),
    "webhook_task_end_v1.json": TaskId("1904163390028185602"),
    "webhook_task_end_v2_success.json": TaskId("2018819290219810999"),
    "v1_cancel_success.json": True,
    "v1_cancel_error_807.json": False,
}


def read(file: str) -> object:
    found = answer_of(file)
    asked = TaskId(value_of(file).get("taskId") or TASK)
    decoders: dict[str, Callable[[], object]] = {
        "submit": lambda: decode_submit(found, currency="CNY"),
        "query": lambda: decode_query(found, asked, currency="CNY"),
        "upload": lambda: decode_upload(found),
        "account": lambda: decode_account(found),
        "queue": lambda: decode_queue_status(found),
        "price": lambda: decode_price(found),
        "webhook": lambda: decode_webhook(found.body),
        "v1_create": lambda: decode_submit(found),
        "v1_cancel": lambda: decode_cancel(found),
    }
    return meaning(next(decode for name, decode in decoders.items() if file.startswith(f"{name}_")))


@pytest.mark.parametrize("file", READ)
def test_every_captured_answer_means_exactly_one_thing(file: str) -> None:
    expected = READ[file]
    if isinstance(expected, Snapshot):
        expected = evolve(expected, raw=answer_of(file).body if expected.settled else b"")
    assert read(file) == expected


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_a_query_is_sent_as_documented_and_may_be_repeated() -> None:
    call = encode_query(TASK)
    assert call == ApiCall(
        route=Route.QUERY, method="POST", path="/openapi/v2/query", body=b'{"taskId":"2013508786110730241"}'
    )
    assert json.loads(call.body) == value_of(REQUEST_OF_QUERY)
    assert call.repeatable


def test_a_submit_is_compact_ascii_json_to_the_models_path_and_is_never_repeatable() -> None:
    call = encode_submit("bytedance/dreamactor-v2", {"prompt": "舞者", "sound": True, "n": 1.5, "list": [None]})
    assert call == ApiCall(
        route=Route.SUBMIT,
        method="POST",
        path="/openapi/v2/bytedance/dreamactor-v2",
        body=rb'{"prompt":"\u821e\u8005","sound":true,"n":1.5,"list":[null]}',
    )
    assert not call.repeatable


def test_a_submit_never_sends_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_submit("vendor/model", {"n": float("nan")})


def test_an_upload_goes_to_the_binary_route_and_may_be_repeated() -> None:
    call = encode_upload()
    assert call == ApiCall(route=Route.UPLOAD, method="POST", path="/openapi/v2/media/upload/binary", body=b"")
    assert call.repeatable


def test_the_account_is_asked_with_the_key_in_the_body_under_its_lower_case_name() -> None:
    assert encode_account("k") == ApiCall(
        route=Route.ACCOUNT, method="POST", path="/uc/openapi/accountStatus", body=b'{"apikey":"k"}'
    )


def test_the_queue_is_asked_without_a_body() -> None:
    assert encode_queue_status() == ApiCall(
        route=Route.ACCOUNT, method="GET", path="/openapi/v2/queue/status", body=b""
    )


def test_a_task_is_stopped_by_the_v1_route_with_the_key_in_the_body() -> None:
    assert encode_cancel("k", TASK) == ApiCall(
        route=Route.CANCEL,
        method="POST",
        path="/task/openapi/cancel",
        body=b'{"apiKey":"k","taskId":"2013508786110730241"}',
    )


def test_a_call_that_carries_the_key_never_prints_it() -> None:
    assert "secret" not in repr(encode_account("secret")) + repr(encode_cancel("secret", TASK))


def test_money_is_counted_in_the_sites_own_currency() -> None:
    assert CURRENCIES == {"https://www.runninghub.ai": "USD", "https://www.runninghub.cn": "CNY"}


# --- submit: the code before the task id, and that before the status --------------------------------------------------

OUTCOME_UNKNOWN = Refused(kind=SubmitUnknown, maybe_billed=True)
HTML = b"<html><body>502 Bad Gateway</body></html>"


def refusal(code: object, /, **more: Any) -> dict[str, Any]:
    return {"taskId": "", "status": "", "errorCode": code, "errorMessage": "m", "results": None} | more


def later(kind: type[RHError], code: str, task_id: str | None = None) -> Refused:
    return Refused(kind=kind, code=code, retryable=True, task_id=task_id)


def unknown(code: str = "", task_id: str | None = None) -> Refused:
    return evolve(OUTCOME_UNKNOWN, code=code, task_id=task_id)


NO_OBJECTS: list[object] = [None, True, 0, "ok", [], [{"taskId": "1"}]]
SUBMITS: dict[str, tuple[ApiResponse, Refused]] = {
    # refused for now, in words: the only refusals that may be repeated
    **{
        f"code {code}": (answer(refusal(code)), later(AtCapacity, code))
        for code in ("421", "415", "1520", "814", "1011")
    },
    "code 1003": (answer(refusal("1003")), later(RateLimited, "1003")),
    "code 1010": (answer(refusal("1010")), later(ModelUnavailable, "1010")),
    "HTTP 429 without a body": (answer(b"", 429), later(RateLimited, "HTTP 429")),
    "HTTP 429 as HTML": (answer(HTML, 429), later(RateLimited, "HTTP 429")),
    # final refusals
    **{
        f"code {code}": (answer(refusal(code)), Refused(kind=kind, code=code))
        for kind, codes in {
            AuthenticationFailed: "802 806 811 1002 1014 -1 401 403 412 435 436 801 1601",
            RequestRejected: "301 803 1001 1007 1008 1009 1013 1101 433 808 809",
            BalanceExhausted: "416 812",
            ContentRejected: "1501 1505",
            ModelUnavailable: "40310",
            NotFound: "380 423 807 810 901 1004",
        }.items()
        for code in codes.split()
    },
    "HTTP 400 with code 1007": (answer(refusal("1007"), 400), Refused(kind=RequestRejected, code="1007")),
    "HTTP 401 with code -1": (
        answer({"code": -1, "msg": "ApiKey verification failed"}, 401),
        Refused(kind=AuthenticationFailed, code="-1"),
    ),
    "HTTP 400 with code 421": (answer(refusal("421"), 400), later(AtCapacity, "421")),
    **{
        f"HTTP {status} without a code": (answer(b"", status), Refused(kind=kind, code=f"HTTP {status}"))
        for kind, statuses in {
            # Not the codes 415 and 421 (house rule 1).
            RequestRejected: (400, 405, 413, 415, 421, 422, 451, 499),
            AuthenticationFailed: (401, 403),
            NotFound: (404,),
        }.items()
        for status in statuses
    },
    # a code without a row
    "an unlisted code": (answer(refusal("777777")), Refused(kind=ApiError, code="777777", maybe_billed=True)),
    "an unlisted code at HTTP 400": (
        answer(refusal("777777"), 400),
        Refused(kind=ApiError, code="777777", maybe_billed=True),
    ),
    "a state code of another route": (answer(refusal("813")), Refused(kind=ApiError, code="813", maybe_billed=True)),
    # a task may have been created and billed
    **{
        f"code {code}": (answer(refusal(code)), unknown(code))
        for code in ("500", "1000", "1005", "1006", "1012", "1015", "1504")
    },
    "code 1005 at HTTP 400": (answer(refusal("1005"), 400), unknown("1005")),
    **{
        f"HTTP {status} as HTML": (answer(HTML, status), unknown(f"HTTP {status}"))
        for status in (301, 302, 307, 308, 408, 500, 502, 503, 504, 520, 599)
    },
    "HTTP 503 with code 421": (answer(refusal("421"), 503), unknown("421")),
    "HTTP 500 with code 1007": (answer(refusal("1007"), 500), unknown("1007")),
    "HTTP 408 with code 1007": (answer(refusal("1007"), 408), unknown("1007")),
    "HTTP 500 as JSON without a code": (answer({"error": "oops"}, 500), unknown("HTTP 500")),
    "an empty body": (answer(b""), OUTCOME_UNKNOWN),
    "a gateway page at HTTP 200": (answer(HTML), OUTCOME_UNKNOWN),
    "half an answer": (answer(b'{"taskId":"2013508786110730241","sta'), OUTCOME_UNKNOWN),
    "bytes that are no text": (answer(b"\xff\xfe\x00\x80"), OUTCOME_UNKNOWN),
    "nesting without end": (answer(b"[" * 100_000), OUTCOME_UNKNOWN),
    **{f"JSON {body!r}": (answer(body), OUTCOME_UNKNOWN) for body in NO_OBJECTS},
    "an empty object": (answer({}), OUTCOME_UNKNOWN),
    "no task id": (answer({"taskId": None, "status": "RUNNING", "errorCode": ""}), OUTCOME_UNKNOWN),
    "an empty task id": (answer({"taskId": "", "status": "RUNNING"}), OUTCOME_UNKNOWN),
    "a task id that is none": (answer({"taskId": {"id": 1}, "status": "RUNNING"}), OUTCOME_UNKNOWN),
    # a refusal that carries a task id keeps it, for it is asked about before it is believed
    "code 421 beside a task": (
        answer(refusal("421", taskId=TASK, status="RUNNING")),
        later(AtCapacity, "421", TASK),
    ),
    "code 1007 beside a task": (
        answer(refusal("1007", taskId=TASK)),
        Refused(kind=RequestRejected, code="1007", task_id=TASK),
    ),
    "an unlisted code beside a task": (
        answer(refusal("777777", taskId=TASK)),
        Refused(kind=ApiError, code="777777", maybe_billed=True, task_id=TASK),
    ),
    "code 1000 beside a task": (answer(refusal("1000", taskId=TASK)), unknown("1000", TASK)),
    # however the code is written
    "a numeric code": (answer(refusal(421)), later(AtCapacity, "421")),
    "a code in blanks": (answer(refusal(" 421 ")), later(AtCapacity, "421")),
    "the other envelope": (
        answer({"code": 806, "msg": "APIKEY_USER_NOT_FOUND", "data": None}),
        Refused(kind=AuthenticationFailed, code="806"),
    ),
    "both envelopes": (answer(refusal("", code=421, msg="m")), later(AtCapacity, "421")),
}


@pytest.mark.parametrize("case", SUBMITS)
def test_a_submit_that_is_not_accepted_says_whether_it_may_be_repeated_and_whether_it_was_paid(case: str) -> None:
    found, expected = SUBMITS[case]
    assert meaning(lambda: decode_submit(found)) == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, refusal("421", taskId=TASK, status="RUNNING"), RateLimited),
        (429, refusal("1003", taskId=TASK), RateLimited),
        (400, refusal("", taskId=TASK, status="RUNNING"), RequestRejected),
        (500, refusal("", taskId=TASK, status="RUNNING"), SubmitUnknown),
        (503, refusal("421", taskId=TASK, status="RUNNING"), SubmitUnknown),
        (200, refusal("421", taskId=TASK, status="RUNNING"), AtCapacity),
    ],
)
def test_a_task_that_is_named_beside_a_refusal_is_never_forgotten_whatever_the_http_status(
    status: int, body: dict[str, Any], expected: type[RHError]
) -> None:
    with pytest.raises(expected) as caught:
        decode_submit(answer(body, status))
    assert caught.value.task_id == TASK


@pytest.mark.parametrize("code", ["", None, 0, "0", "200", 200])
def test_a_submit_is_accepted_where_no_code_says_otherwise(code: object) -> None:
    found = answer(refusal(code, taskId=TASK, status="QUEUED", errorMessage=""))
    assert decode_submit(found) == Snapshot(task_id=TASK, status="QUEUED")


def test_a_submit_may_be_accepted_without_the_keys_that_may_be_missing() -> None:
    found = answer({"taskId": int(TASK)})
    assert decode_submit(found) == Snapshot(task_id=TASK, status="")


def test_a_fast_model_may_succeed_on_submit() -> None:
    found = answer({"taskId": TASK, "status": "SUCCESS", "results": [{"url": "https://example.test/a.png"}]})
    snapshot = decode_submit(found)
    assert snapshot.succeeded
    assert snapshot.outputs == (Output(url="https://example.test/a.png"),)


def test_a_rate_limit_remembers_how_long_the_server_asked_to_wait() -> None:
    with pytest.raises(RateLimited) as from_status:
        decode_submit(answer(b"", 429, retry_after=7.5))
    with pytest.raises(RateLimited) as from_code:
        decode_submit(answer(refusal("1003"), retry_after=3.0))
    with pytest.raises(RateLimited) as from_neither:
        decode_submit(answer(b"", 429))
    assert [error.value.retry_after for error in (from_status, from_code, from_neither)] == [7.5, 3.0, None]


def test_what_made_a_submit_unknown_is_kept_as_its_cause() -> None:
    with pytest.raises(SubmitUnknown) as caught:
        decode_submit(answer(HTML, 502))
    assert isinstance(caught.value.__cause__, InvalidResponse)
    assert caught.value.__cause__.body == HTML
    assert "HTTP 502" in str(caught.value)


def test_an_ambiguous_end_keeps_the_code_and_the_task() -> None:
    unknown = submit_unknown(ServerFault("broken", phase="query", code="1005", task_id=TASK))
    assert (unknown.phase, unknown.code, unknown.task_id, unknown.maybe_billed) == ("submit", "1005", TASK, True)
    assert "broken" in unknown.message


# --- query: the status decides ----------------------------------------------------------------------------------------


def said(status: object, code: object = "", /, **more: Any) -> ApiResponse:
    return answer({"taskId": TASK, "status": status, "errorCode": code, "errorMessage": "m"} | more)


def doubt(kind: type[RHError], code: str, *, retryable: bool) -> Refused:
    task_id = None if kind is InvalidResponse or code.startswith("HTTP") else TASK
    return Refused(kind=kind, code=code, retryable=retryable, task_id=task_id, phase="query")


@pytest.mark.parametrize("status", ["FAILED", "SUCCESS", "CANCEL", "CANCELLED", "CANCELED"])
def test_a_settled_status_beside_a_code_is_about_the_job(status: str) -> None:
    found = said(status, "1501")
    snapshot = decode_query(found, TASK)
    raw = found.body if snapshot.settled else b""
    assert snapshot == Snapshot(task_id=TASK, status=status, code="1501", message="m", raw=raw)


@pytest.mark.parametrize("status", ["", None, "QUEUED", "RUNNING", "CREATE", "PENDING", "PAUSED", [], 7])
def test_any_other_status_beside_a_code_is_about_the_question(status: object) -> None:
    assert meaning(lambda: decode_query(said(status, "1005"), TASK)) == doubt(ServerFault, "1005", retryable=True)


@pytest.mark.parametrize(
    ("sent", "read"),
    [("PAUSED", "PAUSED"), ("success", "SUCCESS"), (" Running ", "RUNNING"), (7, "7"), ("等待", "等待")],
)
def test_any_status_word_is_kept_as_it_came_in_capitals(sent: object, read: str) -> None:
    found = said(sent, errorMessage="")
    raw = found.body if read == "SUCCESS" else b""
    assert decode_query(found, TASK) == Snapshot(task_id=TASK, status=read, raw=raw)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (said("", "1004"), doubt(NotFound, "1004", retryable=False)),
        (said("", 1004), doubt(NotFound, "1004", retryable=False)),
        (said("", "802"), doubt(AuthenticationFailed, "802", retryable=False)),
        (said("", "1003"), doubt(RateLimited, "1003", retryable=True)),
        (said("", "1010"), doubt(ModelUnavailable, "1010", retryable=True)),
        (said("RUNNING", "421"), doubt(AtCapacity, "421", retryable=True)),
        (said("RUNNING", "777777"), doubt(ApiError, "777777", retryable=False)),
        (answer({"code": 806, "msg": "m"}), doubt(AuthenticationFailed, "806", retryable=False)),
        (said(""), doubt(InvalidResponse, "", retryable=True)),
        (said(None, None), doubt(InvalidResponse, "", retryable=True)),
        (said("RUNNING", taskId=OTHER), doubt(InvalidResponse, "", retryable=True)),
        (said("FAILED", "1501", taskId=OTHER), doubt(InvalidResponse, "", retryable=True)),
        (answer(b""), doubt(InvalidResponse, "", retryable=True)),
        (answer([]), doubt(InvalidResponse, "", retryable=True)),
        (answer(HTML), doubt(InvalidResponse, "", retryable=True)),
        (answer(HTML, 502), doubt(InvalidResponse, "HTTP 502", retryable=True)),
        (answer(b"", 307), doubt(InvalidResponse, "HTTP 307", retryable=True)),
        (answer(b"", 408), doubt(InvalidResponse, "HTTP 408", retryable=True)),
        (answer(b"", 429), doubt(RateLimited, "HTTP 429", retryable=True)),
        (answer(b"", 401), doubt(AuthenticationFailed, "HTTP 401", retryable=False)),
        (answer(b"", 404), doubt(NotFound, "HTTP 404", retryable=False)),
        (answer(b"", 400), doubt(RequestRejected, "HTTP 400", retryable=False)),
    ],
)
def test_a_question_that_failed_says_whether_asking_again_is_of_use(found: ApiResponse, expected: Refused) -> None:
    assert meaning(lambda: decode_query(found, TASK)) == expected


NGINX = b"<html><head><title>404 Not Found</title></head><body>nginx</body></html>"
SPRING = {"timestamp": "2026-09-01T00:00:00", "status": 404, "error": "Not Found", "path": "/v1/openapi/v2/query"}


@pytest.mark.parametrize("body", [NGINX, b"", b"404", SPRING, {"code": 404, "msg": "no route"}, {"code": "not_found"}])
def test_a_404_of_another_server_is_about_the_address_whatever_its_body(body: object) -> None:
    calls: list[Callable[[ApiResponse], object]] = [
        decode_submit,
        decode_upload,
        decode_account,
        decode_cancel,
        decode_price,
        lambda found: decode_query(found, TASK),
    ]
    for call in calls:
        with pytest.raises(NotFound, match="base_url") as caught:
            call(answer(body, 404))
        assert (caught.value.code, caught.value.retryable, caught.value.maybe_billed) == ("HTTP 404", False, False)


def test_a_404_with_a_code_of_the_api_is_about_what_the_code_says() -> None:
    with pytest.raises(NotFound, match="1004") as caught:
        decode_query(answer({"errorCode": "1004", "errorMessage": "m"}, 404), TASK)
    assert "base_url" not in str(caught.value)


@pytest.mark.parametrize("echo", [TASK, int(TASK), "", None])
def test_an_answer_may_leave_the_task_out_or_write_it_as_a_number(echo: object) -> None:
    assert decode_query(said("RUNNING", taskId=echo), TASK).task_id == TASK


def test_an_unreadable_answer_keeps_its_bytes() -> None:
    with pytest.raises(InvalidResponse) as caught:
        decode_query(answer(HTML), TASK)
    assert caught.value.body == HTML


@pytest.mark.parametrize("results", [None, [], [{}], [{"url": ""}], "none", [None]])
def test_success_without_results_is_a_success_without_outputs(results: object) -> None:
    snapshot = decode_query(said("SUCCESS", results=results), TASK)
    assert snapshot.succeeded
    assert snapshot.outputs == ()


def test_the_currency_is_named_only_beside_money() -> None:
    paid = decode_query(said("SUCCESS", usage={"consumeMoney": "1.50"}), TASK, currency="USD")
    free = decode_query(said("SUCCESS", usage={"consumeCoins": "17"}), TASK, currency="USD")
    assert paid.usage == Usage(money=Decimal("1.50"), currency="USD")
    assert free.usage == Usage(coins=Decimal(17))


# --- uploads ----------------------------------------------------------------------------------------------------------

LINK = "https://example.test/a.png?q-sign=1"


@pytest.mark.parametrize("code", [0, "0", 200, "200"])
@pytest.mark.parametrize("words", ["msg", "message"])
@pytest.mark.parametrize("name", ["fileName", "filename"])
def test_an_upload_is_read_in_every_documented_shape(code: object, words: str, name: str) -> None:
    found = answer({"code": code, words: "success", "data": {name: "openapi/a.png", "download_url": LINK}})
    assert decode_upload(found) == UploadResponse(file_name="openapi/a.png", url=LINK)


@pytest.mark.parametrize(
    "data", [None, {}, [], "x", {"fileName": "a.png"}, {"download_url": LINK}, {"fileName": 1.5, "download_url": LINK}]
)
def test_an_upload_that_names_no_file_or_no_link_is_unreadable(data: object) -> None:
    with pytest.raises(InvalidResponse, match="names no file") as caught:
        decode_upload(answer({"code": 0, "data": data}))
    assert caught.value.phase == "upload"
    assert b'"code": 0' in caught.value.body


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (answer({"code": 1, "msg": "API Key不存在", "data": None}), Refused(kind=AuthenticationFailed, code="1")),
        (answer({"code": 808, "msg": "m"}), Refused(kind=RequestRejected, code="808", retryable=True)),
        (answer({"code": 809, "message": "m"}), Refused(kind=RequestRejected, code="809")),
        (answer({"code": 1008, "message": "m"}), Refused(kind=RequestRejected, code="1008")),
        (answer({"code": 1013, "message": "m"}), Refused(kind=RequestRejected, code="1013", retryable=True)),
        (answer({"errorCode": "1014", "errorMessage": "m"}), Refused(kind=AuthenticationFailed, code="1014")),
        (answer(b"", 413), Refused(kind=RequestRejected, code="HTTP 413")),
        (answer(b"", 503), Refused(kind=InvalidResponse, code="HTTP 503", retryable=True)),
        (answer(b"", 429), Refused(kind=RateLimited, code="HTTP 429", retryable=True)),
        (answer(b"no"), Refused(kind=InvalidResponse, retryable=True)),
    ],
)
def test_an_upload_that_is_refused_says_why(found: ApiResponse, expected: Refused) -> None:
    assert meaning(lambda: decode_upload(found)) == evolve(expected, phase="upload")


def test_the_servers_words_are_told_whichever_key_holds_them() -> None:
    for key in ("msg", "message", "errorMessage"):
        with pytest.raises(RequestRejected, match="too large"):
            decode_upload(answer({"code": 809, key: "too large"}))
    with pytest.raises(RequestRejected, match="no message"):
        decode_upload(answer({"code": 809}))


def test_an_upload_without_a_code_is_not_believed() -> None:
    with pytest.raises(InvalidResponse, match="names no code"):
        decode_upload(answer({"data": {"fileName": "openapi/a.png", "download_url": LINK}}))


# --- the account ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [None, {}, [], "x", {"remainCoins": None, "currentTaskCounts": [], "apiType": {}}])
def test_what_the_account_does_not_say_is_absent(data: object) -> None:
    assert decode_account(answer({"code": 0, "data": data})) == Account()
    assert decode_queue_status(answer({"code": 0, "data": data})) == Account()


def test_counts_may_come_as_text_or_as_numbers() -> None:
    data = {"concurrentLimit": "100", "runningCount": 7, "queuedCount": "0"}
    assert decode_queue_status(answer({"code": 0, "data": data})) == Account(limit=100, running=7, queued=0)


@pytest.mark.parametrize("count", ["1e50000", "9" * 5000])
def test_a_count_beyond_all_measure_is_absent(count: str) -> None:
    account = decode_account(answer({"code": 0, "data": {"currentTaskCounts": count}}))
    absent = account.running is None
    assert absent


@pytest.mark.parametrize("decode", [decode_account, decode_queue_status])
def test_an_unreadable_account_is_an_error_of_its_own_phase(decode: Callable[[ApiResponse], Account]) -> None:
    for body in (b"", b"[]", {"data": {"apiType": "SHARED"}}):
        with pytest.raises(InvalidResponse) as caught:
            decode(answer(body))
        assert caught.value.phase == "account"
    with pytest.raises(AuthenticationFailed):
        decode(answer({"code": 802, "msg": "m"}))


@pytest.mark.parametrize("code", [817, 807, 423, "1004"])
def test_a_task_that_cannot_be_stopped_any_more_was_over_already(code: object) -> None:
    assert decode_cancel(answer({"code": code, "msg": "m", "data": None})) is False


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (answer({"code": 806, "msg": "m"}), Refused(kind=AuthenticationFailed, code="806")),
        (answer({"code": 500, "msg": "m"}), Refused(kind=ServerFault, code="500", retryable=True)),
        (answer({"msg": "success"}), Refused(kind=InvalidResponse, retryable=True)),
        (answer(HTML, 502), Refused(kind=InvalidResponse, code="HTTP 502", retryable=True)),
        (answer(b"", 404), Refused(kind=NotFound, code="HTTP 404")),
    ],
)
def test_a_cancel_that_failed_is_never_taken_for_a_stopped_task(found: ApiResponse, expected: Refused) -> None:
    assert meaning(lambda: decode_cancel(found)) == evolve(expected, phase="cancel")


# --- downloads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("video/mp4", "mp4"),
        ("application/octet-stream", "mp4"),
        ("", "mp4"),
        ("text/html", "html"),
        ("text/html", "htm"),
        ("text/html", ""),
        ("application/json", "json"),
        ("application/json", ""),
        ("text/plain", "mp4"),
    ],
)
def test_a_link_that_answers_200_with_the_file_is_no_refusal(content_type: str, kind: str) -> None:
    assert download_error(200, content_type, kind) is None


@pytest.mark.parametrize(
    ("content_type", "kind"), [("text/html", "mp4"), ("application/json", "mp4"), ("text/html", "json")]
)
def test_a_page_in_place_of_a_file_is_an_answer_of_another_server(content_type: str, kind: str) -> None:
    error = download_error(200, content_type, kind)
    assert type(error) is InvalidResponse
    assert (error.phase, error.retryable, error.maybe_billed) == ("download", True, False)
    assert f"{content_type} in place of {kind}" in str(error)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_an_expired_link_is_one_that_is_no_longer_found(status: int) -> None:
    error = download_error(status, "text/html", "mp4")
    assert type(error) is NotFound
    assert (error.code, error.phase, error.retryable) == (f"HTTP {status}", "download", False)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(408, True), (425, True), (429, True), (500, True), (503, True), (204, False), (302, False), (402, False)],
)
def test_any_other_status_of_a_link_says_whether_to_try_again(status: int, retryable: bool) -> None:
    error = download_error(status, "video/mp4", "mp4")
    assert type(error) is ApiError
    assert (error.code, error.phase, error.retryable) == (f"HTTP {status}", "download", retryable)
    assert not error.maybe_billed
