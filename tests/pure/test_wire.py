"""The shapes of the wire: camelCase objects of which any key may be missing, null or of a wrong type."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import exceptions

from rh_async import Output, Snapshot, TaskId, Usage
from rh_async._api.wire import ApiCall, ApiResponse, ResponseBody, Route, json_object, parse_body, text

TASK = TaskId("2013508786110730241")


def snapshot(body: dict[str, Any]) -> Snapshot:
    return parse_body(body).snapshot(TASK, b"raw", "CNY")


def usage(**sent: object) -> Usage:
    return snapshot({"usage": sent}).usage


def outputs(*sent: object) -> tuple[Output, ...]:
    return snapshot({"results": list(sent)}).outputs


@pytest.mark.parametrize("route", list(Route))
def test_everything_but_a_submit_may_be_repeated(route: Route) -> None:
    assert ApiCall(route=route, method="POST", path="/").repeatable == (route is not Route.SUBMIT)


def test_calls_and_answers_are_frozen_and_print_no_body() -> None:
    call = ApiCall(route=Route.QUERY, method="POST", path="/p", body=b"secret")
    found = ApiResponse(status=200, body=b"secret")
    assert "secret" not in repr(call) + repr(found)
    with pytest.raises(exceptions.FrozenInstanceError):
        call.path = "/q"  # type: ignore[misc]
    with pytest.raises(exceptions.FrozenInstanceError):
        found.status = 500  # type: ignore[misc]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":1}', {"a": 1}),
        (b" {} ", {}),
        ('\ufeff{"a":1}'.encode(), {"a": 1}),
        (b"", None),
        (b"[]", None),
        (b'"a"', None),
        (b"null", None),
        (b"{", None),
        (b"\xff", None),
        (b'{"a":' * 100_000, None),
        (b'{"a":' + b"9" * 5000 + b"}", None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_bytes_are_a_json_object_or_nothing(body: bytes, value: object) -> None:
    assert json_object(body) == value


@pytest.mark.parametrize("sent", ["a\0b", "a\ud800b"], ids=ascii)
def test_text_holds_nothing_that_no_file_and_no_database_can_hold(sent: str) -> None:
    assert text(sent) == "a\ufffdb"


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("a", "a"),
        (" a\n", "a"),
        ("", ""),
        (421, "421"),
        (-1, "-1"),
        (0, "0"),
        (10**29, str(10**29)),
        (10**30, ""),
        (True, ""),
        (False, ""),
        (None, ""),
        (1.0, ""),
        ([], ""),
        ({}, ""),
    ],
    ids=repr,
)
def test_text_is_text_or_a_whole_number_and_nothing_else(sent: object, read: str) -> None:
    assert text(sent) == read


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("8.10", Decimal("8.10")),
        (" 17 ", Decimal(17)),
        (17, Decimal(17)),
        (0.35, Decimal("0.35")),
        ("-1", None),
        ("-0", Decimal(0)),
        ("1E+9", None),
        ("999999999", Decimal(999999999)),
        ("1E-99999999", None),
        ("0E-99999999", None),
        ("0E+99999999", None),
        ("1." + "0" * 5000, None),
        ("1E400", None),
        ("", None),
        (None, None),
        ("much", None),
        ("NaN", None),
        ("Infinity", None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ([1], None),
    ],
    ids=repr,
)
def test_a_number_comes_as_text_as_a_number_or_not_at_all(sent: object, read: Decimal | None) -> None:
    assert usage(consumeCoins=sent).coins == read


def test_the_money_is_the_sum_of_what_either_purse_paid() -> None:
    assert usage(consumeMoney="1.5", thirdPartyConsumeMoney=8.1).money == Decimal("9.6")
    assert usage(consumeMoney=None, thirdPartyConsumeMoney="8.1").money == Decimal("8.1")
    assert usage(consumeMoney="1.5").money == Decimal("1.5")
    assert usage(consumeMoney=0).money == Decimal(0)


@pytest.mark.parametrize("amount", ["1e9999999", "-1e999999999", "1e-999999999"])
def test_an_amount_beyond_all_measure_is_no_exception(amount: str) -> None:
    assert isinstance(usage(consumeMoney=amount, thirdPartyConsumeMoney=amount), Usage)


def test_run_time_and_coins_are_read_by_their_wire_names() -> None:
    assert usage(taskCostTime="83", consumeCoins="17", billingSeconds=10) == Usage(
        seconds=Decimal(83), coins=Decimal(17)
    )


@pytest.mark.parametrize("sent", [None, [], "free", 7])
def test_a_usage_that_is_none_says_nothing(sent: object) -> None:
    assert snapshot({"usage": sent}).usage == Usage()


def test_an_output_is_read_by_every_name_its_link_and_text_go_by() -> None:
    assert outputs(
        {"url": "u", "outputUrl": "other", "outputType": "MP4", "nodeId": 12},
        {"outputUrl": "u", "outputType": None, "nodeId": None},
        {"text": "t", "content": "other"},
        {"content": "t", "output": "other"},
        {"output": "t", "outputType": "txt"},
    ) == (
        Output(url="u", type="mp4", node_id="12"),
        Output(url="u"),
        Output(text="t"),
        Output(text="t"),
        Output(text="t", type="txt"),
    )


def test_a_result_that_holds_nothing_is_no_output() -> None:
    assert outputs({}, {"outputType": "mp4"}, None, "u", [], {"url": ["u"]}, {"url": None, "text": ""}) == ()


@pytest.mark.parametrize("sent", [None, {}, "u", 1])
def test_results_that_are_no_list_hold_no_output(sent: object) -> None:
    assert snapshot({"results": sent}).outputs == ()


def test_the_first_code_that_is_not_fine_is_the_refusal() -> None:
    assert parse_body({"errorCode": "", "code": 806}).refusal == "806"
    assert parse_body({"errorCode": "421", "code": 806}).refusal == "421"
    assert parse_body({"errorCode": "0", "code": 200}).refusal == ""
    assert parse_body({"errorCode": None, "code": None}).refusal == ""


def test_the_first_error_text_there_is_counts() -> None:
    assert parse_body({"errorMessage": "a", "msg": "b", "message": "c"}).error_text == "a"
    assert parse_body({"errorMessage": None, "msg": "b", "message": "c"}).error_text == "b"
    assert parse_body({"message": "c"}).error_text == "c"
    assert parse_body({}).error_text == ""


def test_an_object_may_miss_every_key_or_not_be_there() -> None:
    assert parse_body(None) == parse_body({}) == parse_body({"unheard": "of"}) == ResponseBody()


def test_what_is_of_a_wrong_type_is_absent() -> None:
    names = ("taskId", "status", "errorCode", "errorMessage", "code", "msg", "message")
    wrong: dict[str, Any] = {name: [] for name in names}
    assert parse_body(wrong | {"results": {}, "usage": [], "data": "x"}) == ResponseBody()


def test_data_is_kept_as_the_object_it_is() -> None:
    assert parse_body({"data": {"fileName": "a", "other": [1]}}).data == {"fileName": "a", "other": [1]}


def test_a_snapshot_is_of_the_task_that_was_asked_about_and_keeps_the_bytes() -> None:
    body = {"taskId": "5", "status": "failed", "errorCode": 1501, "errorMessage": "no"}
    assert snapshot(body) == Snapshot(task_id=TASK, status="FAILED", code="1501", message="no", raw=b"raw")


@pytest.mark.parametrize("word", ["video", "image", "audio", "3d", "mp4", "zip"])
def test_an_output_is_called_what_the_server_calls_it_a_word_or_an_extension(word: str) -> None:
    assert outputs({"url": "u", "outputType": word.upper()}) == (Output(url="u", type=word),)
