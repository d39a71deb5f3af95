"""The fault matrix: route × fault → what the caller got, tasks created, submissions received. Read the table.

One job is wanted in every row. ``DONE`` means that it ended with its video on disk; an error class, that the caller got
that. The ledger, not the client, says how many submissions arrived and how many tasks were created.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from rh_async import ApiError, DreamActor, PollingPolicy, RHError, Session, SubmitUnknown
from rh_async.emulator import Emulator, Fault
from rh_async.errors import (
    AuthenticationFailed,
    BalanceExhausted,
    ContentRejected,
    InvalidMedia,
    InvalidResponse,
    JobFailed,
    JobLost,
    ModelUnavailable,
    NotFound,
    RequestRejected,
    ResponseLost,
)
from tests.media import made_of
from tests.session.conftest import Media

DONE = None
FOREVER: Any = {"times": None}


@frozen
class Row:
    """One line of the table.

    :param got: the error the caller got, or `DONE`.
    :param received: submissions that reached the server.
    :param created: tasks that exist, and are charged.
    """

    fault: Fault
    got: type[RHError] | None = DONE
    received: int = 1
    created: int = 1

    def __str__(self) -> str:
        f = self.fault
        facts = [
            f.code or "",
            f"HTTP-{f.status}" if f.status != 200 else "",
            f.code_type or "",
            f.task_status or f.output_type,
        ]
        facts += ["accepted" if f.accepted else "", "" if f.times else "forever"]
        facts += [f"after-{f.retry_after}s" if f.retry_after else ""]
        return "-".join(filter(None, [f.route, f.kind, *facts]))


def refusals(codes: str, got: type[RHError]) -> list[Row]:
    return [Row(Fault("error_code", code=code), got, 1, 0) for code in codes.split()]


SUBMIT_NEVER_ARRIVED = [
    Row(Fault("refuse_connections", seconds=5)),
    Row(Fault("refuse_connections", seconds=120)),
]
SUBMIT_REFUSED_FOR_NOW = [
    *(Row(Fault("error_code", code=code), DONE, 2, 1) for code in "415 421 814 1003 1010 1011 1520".split()),
    Row(Fault("error_code", code="421", code_type="int"), DONE, 2, 1),
    Row(Fault("error_code", code="421", times=20), DONE, 21, 1),
    Row(Fault("http_429"), DONE, 2, 1),
    Row(Fault("http_429", retry_after=90), DONE, 2, 1),
    Row(Fault("http_429", retry_after=3600, times=3), DONE, 4, 1),
    Row(Fault("error_with_unknown_task"), DONE, 2, 1),
]
SUBMIT_REFUSED_BUT_THERE = [
    Row(Fault("error_with_task"), DONE, 1, 1),
    Row(Fault("error_with_task", code="1005"), DONE, 1, 1),
    Row(Fault("error_with_task", code="4242"), DONE, 1, 1),
    Row(Fault("json_5xx", code="421", accepted=True), DONE, 1, 1),
    Row(Fault("error_code", code="1005", accepted=True), DONE, 1, 1),
]
SUBMIT_UNKNOWN = [
    Row(Fault("drop_before_body"), SubmitUnknown, 1, 0),
    Row(Fault("drop_after_accept"), SubmitUnknown, 1, 1),
    Row(Fault("drop_mid_response"), SubmitUnknown, 1, 1),
    Row(Fault("hang"), SubmitUnknown, 1, 0),
    Row(Fault("hang", accepted=True), SubmitUnknown, 1, 1),
    Row(Fault("redirect_307"), SubmitUnknown, 1, 0),
    *(Row(Fault("gateway_502", status=status), SubmitUnknown, 1, 0) for status in (500, 502, 503, 504)),
    Row(Fault("gateway_502", status=200), SubmitUnknown, 1, 0),
    Row(Fault("gateway_502", accepted=True), SubmitUnknown, 1, 1),
    Row(Fault("json_5xx"), SubmitUnknown, 1, 0),
    Row(Fault("json_5xx", code="1003"), SubmitUnknown, 1, 0),
    Row(Fault("invalid_body"), SubmitUnknown, 1, 1),
    Row(Fault("empty_body"), SubmitUnknown, 1, 1),
    Row(Fault("oversized_body"), SubmitUnknown, 1, 1),
    Row(Fault("error_with_unknown_task", code="1005"), SubmitUnknown, 1, 0),
    *(Row(Fault("error_code", code=code), SubmitUnknown, 1, 0) for code in "500 1000 1005 1006 1012 1015 1504".split()),
    Row(Fault("error_code", code="1000", code_type="int"), SubmitUnknown, 1, 0),
    Row(Fault("error_code", code="1000", code_type="null"), SubmitUnknown, 1, 0),
]
SUBMIT_FINAL = [
    *refusals("801 802 806 811 1002 1014 1601 412 435 436", AuthenticationFailed),
    *refusals("301 433 803 1001 1007 1008 1009 1013 1101 808 809", RequestRejected),
    *refusals("416 812", BalanceExhausted),
    *refusals("1501 1505", ContentRejected),
    *refusals("40310", ModelUnavailable),
    *refusals("380 423 807 810 901 1004", NotFound),
    *refusals("4242 99999", ApiError),
    Row(Fault("error_code", code="806", code_type="int"), AuthenticationFailed, 1, 0),
    Row(Fault("gateway_502", status=400), RequestRejected, 1, 0),
    Row(Fault("gateway_502", status=403), AuthenticationFailed, 1, 0),
    Row(Fault("gateway_502", status=404), NotFound, 1, 0),
    Row(Fault("gateway_502", status=408), SubmitUnknown, 1, 0),
]
SUBMIT_SLOW = [Row(Fault("slow_response", seconds=20))]

PASSING: list[dict[str, Any]] = [
    {"kind": "refuse_connections", "seconds": 60},
    {"kind": "drop_before_body"},
    {"kind": "drop_after_accept"},
    {"kind": "drop_mid_response"},
    {"kind": "hang"},
    {"kind": "redirect_307"},
    {"kind": "gateway_502"},
    {"kind": "gateway_502", "status": 504},
    {"kind": "http_429"},
    {"kind": "http_429", "retry_after": 30},
    {"kind": "json_5xx"},
    {"kind": "json_5xx", "code": "1005"},
    {"kind": "invalid_body"},
    {"kind": "empty_body"},
    {"kind": "oversized_body"},
    {"kind": "slow_response", "seconds": 20},
]
QUERY_PASSES = [
    *(Row(Fault(route="query", **fault)) for fault in PASSING),
    *(Row(Fault(route="query", times=5, **fault)) for fault in PASSING),
    *(
        Row(Fault("error_code", route="query", code=code))
        for code in "500 1000 1003 1005 1007 1010 1011 1012 421 4242".split()
    ),
    Row(Fault("error_code", route="query", code="1000", code_type="int")),
    Row(Fault("error_code", route="query", code="421", task_status="RUNNING")),
    Row(Fault("error_code", route="query", code="1004")),  # within the first minute it is not believed
]
QUERY_ENDS = [
    *(Row(Fault("error_code", route="query", code=code), AuthenticationFailed) for code in "806 802 1002 1014".split()),
    Row(Fault("error_code", route="query", code="1004", **FOREVER), JobLost),
    Row(Fault("hang", route="query", **FOREVER), JobLost),
    Row(Fault("gateway_502", route="query", **FOREVER), JobLost),
]
UPLOAD_PASSES = [
    *(Row(Fault(route="upload", **fault)) for fault in PASSING),
    *(Row(Fault(route="upload", times=5, **fault)) for fault in PASSING),
    *(
        Row(Fault("error_code", route="upload", code=code))
        for code in "-1 500 808 1003 1005 1010 1011 1012 1013".split()
    ),
    Row(Fault("error_code", route="upload", code="1005", code_type="str")),
]
UPLOAD_ENDS = [
    Row(Fault("error_code", route="upload", code="401"), AuthenticationFailed, 0, 0),
    Row(Fault("error_code", route="upload", code="809"), RequestRejected, 0, 0),
    Row(Fault("error_code", route="upload", code="1008"), RequestRejected, 0, 0),
    # Another name proves nothing of the bytes; here it is a link that leads nowhere, which the submit is refused for.
    Row(Fault("wrong_file_name"), RequestRejected, 1, 0),
    Row(Fault("hang", route="upload", **FOREVER), ResponseLost, 0, 0),
    Row(Fault("empty_body", route="upload", **FOREVER), InvalidResponse, 0, 0),
]
DOWNLOAD_PASSES = [
    *(
        Row(Fault(route="download", **fault))
        for fault in PASSING
        if fault["kind"] not in {"invalid_body", "oversized_body"}
    ),
    Row(Fault("gateway_502", route="download", status=200)),
    Row(Fault("truncated_file")),
    Row(Fault("truncated_file", times=5)),
    Row(Fault("redirected_link")),
    *(Row(Fault("expired_link", status=status)) for status in (400, 401, 403, 404, 410)),
]
DOWNLOAD_ENDS = [
    Row(Fault("expired_link", **FOREVER), NotFound),
    Row(Fault("truncated_file", **FOREVER), ResponseLost),
    Row(Fault("gateway_502", route="download", status=402), ApiError),
    Row(Fault("gateway_502", route="download", status=400, **FOREVER), NotFound),
]
TASK = [
    Row(Fault("failed"), JobFailed),
    Row(Fault("failed", code="805"), JobFailed),
    Row(Fault("moderation"), JobFailed),
    Row(Fault("real_person"), JobFailed),
    Row(Fault("unknown_status")),
    Row(Fault("unknown_status", responses=40)),
    Row(Fault("success_without_results", responses=5)),
    Row(Fault("success_without_results", responses=500), JobFailed),
    Row(Fault("success_on_submit")),
    Row(Fault("not_found_first", seconds=30)),
    Row(Fault("slot_release_delay")),
]
TABLE = [
    *(SUBMIT_NEVER_ARRIVED + SUBMIT_REFUSED_FOR_NOW + SUBMIT_REFUSED_BUT_THERE + SUBMIT_UNKNOWN + SUBMIT_FINAL),
    *(SUBMIT_SLOW + QUERY_PASSES + QUERY_ENDS + UPLOAD_PASSES + UPLOAD_ENDS + DOWNLOAD_PASSES + DOWNLOAD_ENDS + TASK),
]


@pytest.mark.parametrize("row", TABLE, ids=str)
async def test_one_job_meets_one_fault(row: Row, media: Media, tmp_path: Path) -> None:
    request = DreamActor(media.images[0], media.videos[0])
    async with (
        Emulator(seed=1, run_time=60.0) as server,
        Session(server.api_key, base_url=server.url, polling=PollingPolicy(max_job_age=7200.0)) as session,
    ):
        await session.account()  # an address that has answered once is waited for
        server.faults.add(row.fault)
        got: RHError | None = None
        try:
            result = await session.run(request, output_dir=tmp_path)
        except RHError as error:
            got = error
        else:
            assert result.paths[0].read_bytes() == made_of(media.videos[0], result.task_id)
    assert type(got) is (row.got or type(None))
    assert len(server.ledger.submissions) == row.received
    assert len(server.ledger.tasks) == row.created
    assert [fault.kind for fault in server.ledger.faults][:1] == [row.fault.kind]
    assert [path.suffix for path in tmp_path.iterdir()] == ([] if got else [".mp4"])
    if got is not None:
        _says_what_to_know(got, created=row.created)


def _says_what_to_know(error: RHError, *, created: int) -> None:
    assert error.phase in {"submit", "query", "upload", "download"} or isinstance(error, InvalidMedia)
    assert error.advice
    assert str(error).endswith(error.advice)
    if created:
        # A caller must not read that nothing was paid where something was.
        assert error.maybe_billed or error.phase in {"query", "download"}
