"""What a code means: by the documented table, never by words."""

from __future__ import annotations

import pytest

from rh_async import CHINA_SITE, GLOBAL_SITE, ApiError, RHError, TaskId
from rh_async._api.error_codes import (
    ERROR_CODES,
    advice_for,
    api_error,
    http_error,
    is_key_rejected,
    is_server_busy,
    may_have_created_task,
)
from rh_async._api.wire import Route
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
    ResponseLost,
    ServerFault,
)
from tests.pure.samples import answer

# contract 8, row by row; 0 and 200 are fine, 804 and 813 are states of another route.
DOCUMENTED: dict[type[ApiError], str] = {
    AuthenticationFailed: "1 -1 401 403 412 435 436 801 802 806 811 1002 1014 1601",
    RequestRejected: "301 433 803 808 809 1001 1007 1008 1009 1013 1101",
    BalanceExhausted: "416 812",
    ContentRejected: "1501 1505",
    AtCapacity: "415 421 814 1011 1520",
    RateLimited: "1003",
    ModelUnavailable: "1010 40310",
    NotFound: "380 423 807 810 901 1004",
    ServerFault: "500 805 1000 1005 1006 1012 1015 1504",
}
PAIRS = [(code, kind) for kind, codes in DOCUMENTED.items() for code in codes.split()]
FOR_NOW = {"415", "421", "814", "1003", "1010", "1011", "1520"}
MAYBE_BILLED = {"500", "1000", "1005", "1006", "1012", "1015", "1504"}
OTHER_ROUTES = [route for route in Route if route is not Route.SUBMIT]


@pytest.mark.parametrize(("code", "kind"), PAIRS)
def test_every_documented_code_has_its_class(code: str, kind: type[ApiError]) -> None:
    assert ERROR_CODES[code].kind is kind


def test_what_is_fine_and_what_is_a_state_is_no_error() -> None:
    assert not ERROR_CODES.keys() & {"", "0", "200", "804", "813"}


@pytest.mark.parametrize("code", [code for code, _ in PAIRS])
def test_a_submit_is_repeatable_only_if_it_was_refused_for_now(code: str) -> None:
    error = api_error(code, "m", Route.SUBMIT)
    assert error.retryable == (code in FOR_NOW)
    assert error.maybe_billed == (code in MAYBE_BILLED)


@pytest.mark.parametrize("route", OTHER_ROUTES)
def test_nothing_else_is_ever_billed(route: Route) -> None:
    assert not any(api_error(code, "m", route).maybe_billed for code in [*ERROR_CODES, "777777"])


@pytest.mark.parametrize("route", OTHER_ROUTES)
def test_elsewhere_a_code_is_retryable_if_the_same_again_may_work(route: Route) -> None:
    retryable = {code for code in ERROR_CODES if api_error(code, "m", route).retryable}
    assert retryable == FOR_NOW | MAYBE_BILLED | {"805", "-1", "808", "1013"}


def test_a_code_without_a_row_is_a_plain_refusal_that_may_be_billed() -> None:
    error = api_error("777777", "", Route.SUBMIT)
    assert type(error) is ApiError
    assert (error.retryable, error.maybe_billed, error.task_id) == (False, True, None)


def test_the_message_never_chooses_the_class() -> None:
    error = api_error("1005", "the load balancer has no balance, invalid api key", Route.QUERY)
    assert type(error) is ServerFault


def test_a_refusal_tells_route_code_and_the_servers_words() -> None:
    error = api_error("1007", "field 'prompt' is required", Route.SUBMIT, task_id=TaskId("5"))
    assert str(error).startswith("submit refused with code 1007: field 'prompt' is required (task 5).")
    assert (error.phase, error.code, error.task_id) == ("submit", "1007", "5")


@pytest.mark.parametrize("route", OTHER_ROUTES)
def test_a_missing_key_is_final_and_one_that_failed_to_pass_may_pass_the_next_time(route: Route) -> None:
    assert not api_error("-1", "apiKey is required", route).retryable
    assert api_error("-1", "ApiKey verification failed", route).retryable


def test_a_missing_price_has_nothing_to_do_with_moderation() -> None:
    error = api_error("1501", "PRICE_CONFIG_NOT_FOUND", Route.PRICE)
    assert type(error) is NotFound
    assert "no price" in error.advice


@pytest.mark.parametrize("route", list(Route))
def test_a_404_without_a_code_of_the_api_says_that_the_address_is_wrong(route: Route) -> None:
    error = http_error(answer(b"<html>", 404), route)
    assert "base_url" in str(error)
    assert "nothing of the API is at this address" in error.message
    assert "base_url" not in str(http_error(answer(b"<html>", 400), route))


def test_an_empty_task_id_is_none() -> None:
    assert api_error("1007", "", Route.SUBMIT, task_id=TaskId("")).task_id is None


@pytest.mark.parametrize("code", ["806", "1002"])
def test_the_error_for_an_unknown_key_names_the_other_site(code: str) -> None:
    error = api_error(code, "APIKEY_USER_NOT_FOUND", Route.QUERY)
    assert GLOBAL_SITE in str(error)
    assert CHINA_SITE in str(error)


def test_the_error_for_a_key_of_the_wrong_type_names_the_type_it_takes() -> None:
    assert "enterprise-shared" in str(api_error("1014", "Access Denied", Route.SUBMIT))


@pytest.mark.parametrize(("code", "kind"), [pair for pair in PAIRS if pair[0] not in {"806", "1002", "1014"}])
def test_any_other_code_is_advised_as_its_class(code: str, kind: type[ApiError]) -> None:
    advice = api_error(code, "m", Route.QUERY).advice
    assert advice == kind.advice
    assert advice


@pytest.mark.parametrize("code", ["1501", "1505"])
def test_a_job_that_failed_by_moderation_is_advised_as_refused_content(code: str) -> None:
    assert advice_for(code) == ContentRejected.advice


def test_a_job_that_failed_by_its_parameters_is_advised_to_correct_them() -> None:
    assert advice_for("1007") == RequestRejected.advice


@pytest.mark.parametrize(
    "code", ["415", "421", "500", "814", "1003", "1005", "1006", "1010", "1011", "1012", "1504", "1520"]
)
def test_a_job_that_failed_over_a_busy_server_is_not_told_to_change_its_inputs(code: str) -> None:
    assert is_server_busy(code)
    advice = advice_for(code) or ""
    assert "may be bought again" in advice
    assert "hange" not in advice


@pytest.mark.parametrize("code", ["", "806", "812", "1000", "1007", "1015", "1501", "777777"])
def test_no_other_failure_is_laid_to_a_busy_server(code: str) -> None:
    assert not is_server_busy(code)


@pytest.mark.parametrize("code", ["", "1000", "1015", "806", "812", "777777"])
def test_no_other_code_says_what_to_change_in_a_job_that_failed(code: str) -> None:
    assert advice_for(code) is None


def test_only_a_rate_limit_takes_the_wait_the_server_asked_for() -> None:
    limited = api_error("1003", "m", Route.QUERY, response=answer(b"", retry_after=4.0))
    full = api_error("421", "m", Route.QUERY, response=answer(b"", retry_after=4.0))
    assert isinstance(limited, RateLimited)
    assert limited.retry_after == 4.0
    assert not hasattr(full, "retry_after")


@pytest.mark.parametrize("code", ["806", "802", "1002", "1014"])
def test_these_codes_refuse_the_key_itself(code: str) -> None:
    assert is_key_rejected(api_error(code, "m", Route.QUERY))


@pytest.mark.parametrize(
    "error",
    [api_error("812", "m", Route.QUERY), api_error("-1", "m", Route.QUERY), ResponseLost("hung", code="806")],
    ids=lambda error: error.code,
)
def test_nothing_else_refuses_the_key_itself(error: RHError) -> None:
    assert not is_key_rejected(error)


@pytest.mark.parametrize("status", [100, 199, 300, 307, 399, 408, 500, 502, 599])
def test_after_these_http_statuses_a_task_may_have_been_created(status: int) -> None:
    assert may_have_created_task(api_error("1007", "m", Route.SUBMIT), status)


@pytest.mark.parametrize("status", [200, 201, 400, 404, 407, 409, 421, 429, 499])
def test_after_these_only_the_code_decides(status: int) -> None:
    assert not may_have_created_task(api_error("1007", "m", Route.SUBMIT), status)
    assert may_have_created_task(api_error("1005", "m", Route.SUBMIT), status)


def test_an_unreadable_acceptance_may_have_created_a_task_and_an_unreadable_refusal_has_not() -> None:
    assert may_have_created_task(InvalidResponse("?"), 200)
    assert not may_have_created_task(InvalidResponse("?"), 400)


@pytest.mark.parametrize("route", list(Route))
@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (301, InvalidResponse, True),
        (307, InvalidResponse, True),
        (400, RequestRejected, False),
        (401, AuthenticationFailed, False),
        (403, AuthenticationFailed, False),
        (404, NotFound, False),
        (408, InvalidResponse, True),
        (415, RequestRejected, False),
        (421, RequestRejected, False),
        (429, RateLimited, True),
        (499, RequestRejected, False),
        (500, InvalidResponse, True),
        (502, InvalidResponse, True),
    ],
)
def test_an_http_status_speaks_where_the_body_does_not(
    status: int, kind: type[RHError], retryable: bool, route: Route
) -> None:
    error = http_error(answer(b"<html>", status), route)
    assert type(error) is kind
    assert (error.code, error.phase, error.retryable) == (f"HTTP {status}", route.value, retryable)
    assert not error.maybe_billed
    assert f"{route.value} answered HTTP {status}" in str(error)


def test_a_limit_by_http_status_keeps_the_wait_and_a_broken_page_its_bytes() -> None:
    limited = http_error(answer(b"", 429, retry_after=9.0), Route.QUERY)
    broken = http_error(answer(b"<html>", 502), Route.QUERY)
    assert isinstance(limited, RateLimited)
    assert limited.retry_after == 9.0
    assert isinstance(broken, InvalidResponse)
    assert broken.body == b"<html>"
