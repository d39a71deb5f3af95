"""Whatever the server sends, a decoder returns a typed value or raises an error of our tree."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rh_async import Account, RHError, Snapshot, SubmitUnknown, TaskId
from rh_async._api.endpoints import (
    UploadResponse,
    decode_account,
    decode_queue_status,
    decode_upload,
    download_error,
)
from rh_async._api.error_codes import ERROR_CODES
from rh_async._api.task_family import STANDARD
from rh_async._api.wire import ApiResponse, text

encode_submit, decode_submit = partial(STANDARD.encode_submit, "key"), STANDARD.decode_submit
encode_query, decode_query = partial(STANDARD.encode_query, "key"), STANDARD.decode_query
encode_cancel, decode_cancel = STANDARD.encode_cancel, STANDARD.decode_cancel

TASK = TaskId("2013508786110730241")
OTHER_TASK = "2019324151986266999"

odd_numbers = st.sampled_from(
    ["1e5000", "-1e5000", "1e-5000", "NaN", "sNaN", "-Infinity", "1_000", "٣", "0x10", "8.1", "0"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**4000), max_value=10**4000)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["half a pair \ud800", "\udfff"])
    | odd_numbers
)


def nested(depth: int) -> object:
    value: object = "deep"
    for level in range(depth):
        value = [value] if level % 2 else {"data": value, "url": value}["data"]
    return value


anything: st.SearchStrategy[object] = st.recursive(
    scalars | st.builds(nested, st.integers(1, 300)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
codes = st.sampled_from([*ERROR_CODES, "0", "200", "", "804", "813", "777777", " 421 "])
codes_as_sent: st.SearchStrategy[object] = codes | codes.map(lambda code: int(code) if code.strip() else None)
words = st.sampled_from(["SUCCESS", "FAILED", "RUNNING", "QUEUED", "CANCEL", "CREATE", "PAUSED", "success", ""])
task_ids: st.SearchStrategy[object] = st.sampled_from([TASK, int(TASK), OTHER_TASK, "", None])


def objects(**documented: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of the documented keys, right or wrong, and with undocumented keys."""
    known = st.fixed_dictionaries({}, optional={key: right | anything for key, right in documented.items()})
    unknown = st.dictionaries(st.text(max_size=6), anything, max_size=2)
    return st.builds(lambda extra, expected: {**extra, **expected}, unknown, known)


numbers: st.SearchStrategy[object] = (
    odd_numbers
    | st.sampled_from(["1e1000000", "-1e1000000", "1e-1000000"])
    | st.integers()
    | st.floats()
    | st.decimals(allow_nan=True).map(str)
)
counts: st.SearchStrategy[object] = st.integers(0, 100) | st.integers(0, 100).map(str) | odd_numbers | anything
results = objects(
    url=st.text(max_size=8),
    outputUrl=st.text(max_size=8),
    outputType=st.sampled_from(["mp4", "PNG"]),
    nodeId=st.integers(),
    text=st.text(max_size=8),
    content=st.text(max_size=8),
    output=st.text(max_size=8),
)
_loose = objects(
    node_name=st.text(max_size=8),
    node_id=st.integers(),
    exception_message=st.text(max_size=8),
    traceback=st.lists(st.text(max_size=8), max_size=2),
    result=st.booleans(),
    error=anything,
    node_errors=st.dictionaries(st.text(max_size=3), objects(errors=st.lists(anything, max_size=2)), max_size=2),
)
remarks: st.SearchStrategy[object] = _loose | _loose.map(json.dumps) | st.lists(_loose, max_size=2)
bodies = objects(
    taskId=task_ids,
    status=words,
    errorCode=codes_as_sent,
    errorMessage=st.text(max_size=8),
    results=st.lists(results, max_size=2),
    usage=objects(consumeMoney=numbers, thirdPartyConsumeMoney=numbers, consumeCoins=numbers, taskCostTime=numbers),
    clientId=st.text(max_size=8),
    promptTips=remarks,
    failedReason=remarks,
    parentTaskId=st.none(),
    taskUsageList=st.none(),
    code=codes_as_sent,
    msg=st.text(max_size=8),
    message=st.text(max_size=8),
    errorMessages=st.none(),
    data=objects(
        taskId=task_ids,
        taskStatus=words,
        promptTips=remarks,
        fileName=st.text(max_size=8),
        filename=st.text(max_size=8),
        download_url=st.text(max_size=8),
        apiType=st.sampled_from(["NORMAL", "SHARED"]),
        apiKeyType=st.text(max_size=8),
        currency=st.text(max_size=3),
        remainMoney=numbers,
        remainCoins=numbers,
        concurrentLimit=counts,
        currentTaskCounts=counts,
        runningCount=counts,
        queuedCount=counts,
    ),
)
statuses = st.just(200) | st.sampled_from([201, 204, 307, 400, 401, 404, 408, 429, 500, 502, 503]) | st.integers(0, 999)
waits = st.none() | st.floats()


def as_bytes(body: object, cut: int | None, encoding: str) -> bytes:
    return json.dumps(body).encode(encoding)[:cut]


json_bytes = st.builds(
    as_bytes,
    bodies | anything,
    st.none() | st.none() | st.integers(0, 200),
    st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
any_bytes = json_bytes | json_bytes | st.binary(max_size=64) | st.sampled_from([b"[" * 100_000, b'{"data":' * 100_000])
answers = st.builds(ApiResponse, status=statuses, body=any_bytes, retry_after=waits)
DECODERS: dict[str, Callable[[ApiResponse], object]] = {
    "submit": decode_submit,
    "query": lambda found: decode_query(found, TASK, currency="USD"),
    "upload": decode_upload,
    "account": decode_account,
    "queue": decode_queue_status,
    "cancel": decode_cancel,
}


def read(decode: Callable[[ApiResponse], object], found: ApiResponse) -> object:
    try:
        return decode(found)
    except RHError as error:
        return error


@pytest.mark.parametrize("route", DECODERS)
@settings(max_examples=150, deadline=None)
@given(found=answers)
@example(found=ApiResponse(status=200, body=b'{"taskId":1,"status":"RUNNING","usage":{"consumeMoney":"1e1000000"}}'))
@example(
    found=ApiResponse(status=200, body=b'{"code":0,"data":{"currentTaskCounts":"1e5000","runningCount":"1e5000"}}')
)
def test_any_answer_is_a_typed_value_or_an_error_of_our_tree(route: str, found: ApiResponse) -> None:
    value = read(DECODERS[route], found)
    assert isinstance(value, Snapshot | UploadResponse | Account | bool | RHError)
    assert str(value)
    assert isinstance(hash(value), int)


@settings(max_examples=150, deadline=None)
@given(found=answers)
def test_a_submit_is_accepted_only_with_a_task_id_and_no_other_end_is_both_billed_and_repeatable(
    found: ApiResponse,
) -> None:
    value = read(decode_submit, found)
    if isinstance(value, RHError):
        assert not (value.maybe_billed and value.retryable)
        assert value.phase == "submit"
        assert type(value) is not RHError
    else:
        assert isinstance(value, Snapshot)
        assert value.task_id
        assert value.code == ""
        assert 200 <= found.status < 300


@settings(max_examples=150, deadline=None)
@given(body=bodies, status=st.sampled_from([100, 199, 408, 500, 502, 503, 504]) | st.integers(500, 999))
def test_a_submit_answered_by_a_gateway_is_always_unknown(body: dict[str, Any], status: int) -> None:
    value = read(decode_submit, ApiResponse(status=status, body=json.dumps(body).encode()))
    assert type(value) is SubmitUnknown


BROKEN = "half a pair \\ud800"  # JSON can name half a surrogate pair, and no encoding can carry it back


@settings(max_examples=100, deadline=None)
@given(found=answers)
@example(found=ApiResponse(status=200, body=f'{{"taskId":"{BROKEN}","status":"RUNNING"}}'.encode()))
def test_whatever_task_a_submit_names_can_be_queried_and_cancelled(found: ApiResponse) -> None:
    value = read(decode_submit, found)
    task_id = value.task_id if isinstance(value, Snapshot | RHError) else None
    for call in (encode_query(task_id), encode_cancel("k", task_id)) if task_id else ():
        assert json.loads(call.body)["taskId"] == task_id


@settings(max_examples=100, deadline=None)
@given(found=answers)
@example(
    found=ApiResponse(
        status=200, body=f'{{"code":0,"data":{{"fileName":"a","download_url":"https://{BROKEN}"}}}}'.encode()
    )
)
@example(
    found=ApiResponse(
        status=200, body=f'{{"code":0,"data":{{"fileName":"{BROKEN}","download_url":"https://a"}}}}'.encode()
    )
)
def test_whatever_file_an_upload_names_can_be_submitted(found: ApiResponse) -> None:
    value = read(decode_upload, found)
    if isinstance(value, UploadResponse):
        body = {"imageUrl": value.url, "299##image": value.file_name}
        assert json.loads(encode_submit("vendor/model", body).body) == body


@settings(max_examples=150, deadline=None)
@given(found=answers)
def test_a_query_is_never_billed_and_only_returns_its_own_task(found: ApiResponse) -> None:
    value = read(lambda found: decode_query(found, TASK), found)
    if isinstance(value, RHError):
        assert not value.maybe_billed
    else:
        assert isinstance(value, Snapshot)
        assert value.task_id == TASK
        assert value.status
        assert value.settled or not value.code
        assert all(output.url or output.text for output in value.outputs)


@settings(max_examples=150, deadline=None)
@given(found=answers)
def test_an_upload_is_stored_only_with_a_name_and_a_link(found: ApiResponse) -> None:
    value = read(decode_upload, found)
    if isinstance(value, UploadResponse):
        assert value.file_name
        assert value.url
    else:
        assert isinstance(value, RHError)
        assert not value.maybe_billed


@given(status=st.integers(-1, 1000), content_type=st.text(max_size=8) | st.just("text/html"), kind=st.text(max_size=4))
def test_any_answer_of_a_link_is_the_file_or_an_error_of_our_tree(status: int, content_type: str, kind: str) -> None:
    error = download_error(status, content_type, kind)
    assert error is None or error.phase == "download"
    assert error is not None or status == 200


@given(value=anything)
def test_anything_is_text_without_blanks_at_its_ends(value: object) -> None:
    read_as = text(value)
    assert read_as == read_as.strip()
