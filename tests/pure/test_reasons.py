"""Why a job failed, out of every form in which the server has been seen, or is declared, to say it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from rh_async import Job, Snapshot, TaskId
from rh_async._api.failure_reasons import flaw_of, reason_of
from rh_async._api.task_family import STANDARD
from rh_async._job_updates import apply_snapshot, outcome_of
from rh_async.errors import JobFailed
from tests.pure.samples import answer, answer_of

TASK = TaskId("2013508786110730241")
OOM = {
    "node_id": "3",
    "node_name": "KSampler",
    "exception_type": "torch.OutOfMemoryError",
    "exception_message": "Allocation on device 0 would exceed allowed memory.\n",
    "traceback": json.dumps(['  File "/comfyui/execution.py", line 498\n']),
    "current_inputs": json.dumps({"seed": ["1"]}),
    "current_outputs": json.dumps([]),
}
SAID = "KSampler: Allocation on device 0 would exceed allowed memory."


def without(*names: str, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in OOM.items() if name not in names} | more


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (OOM, SAID),
        (json.dumps(OOM), SAID),
        (json.dumps(json.dumps(OOM)), SAID),
        ([OOM], SAID),
        (json.dumps([OOM, OOM]), SAID),
        (without(traceback=['  File "/comfyui/execution.py", line 498\n']), SAID),
        (without("node_name"), f"node 3: {SAID.partition(': ')[2]}"),
        (without("node_name", node_id=3), f"node 3: {SAID.partition(': ')[2]}"),
        (without("node_name", "node_id"), SAID.partition(": ")[2]),
        (without("exception_message"), "KSampler: torch.OutOfMemoryError"),
        (
            without("exception_message", "exception_type", traceback="a\nValueError: bad\n\n"),
            "KSampler: ValueError: bad",
        ),
        (
            without("exception_message", "exception_type", traceback='["a", "ValueError: bad"]'),
            "KSampler: ValueError: bad",
        ),
        (without(exception_message={"message": "inner"}), "KSampler: inner"),
        (without(exception_message='["one", "two", "one"]'), "KSampler: one; two"),
        ({"message": "upstream refused"}, "upstream refused"),
        ("the video is too dark", "the video is too dark"),
        ("[broken json", "[broken json"),
        ("string", "string"),
    ],
)
def test_a_failed_reason_says_node_and_exception_in_whatever_form_it_was_sent(sent: object, read: str) -> None:
    assert reason_of(sent) == read


@pytest.mark.parametrize(
    "sent", [None, {}, [], "", "{}", "[]", '""', "null", True, 7, 1.5, {"node": 1}, [[[[[["deep"]]]]]]]
)
def test_a_failed_reason_that_says_nothing_is_empty(sent: object) -> None:
    assert reason_of(sent) in {"", "null"}


def test_a_failed_reason_is_one_line_of_bounded_length() -> None:
    told = reason_of({"exception_message": "line\n" * 100_000})
    assert "\n" not in told
    assert len(told) == 2000
    assert told.endswith("…")


def test_a_failed_reason_can_be_written_anywhere() -> None:
    told = reason_of({"node_name": "half a pair \ud800", "exception_message": "a\0b \x1b[2J\u202e舞"})
    assert told == "half a pair \ufffd: a\ufffdb \ufffd[2J\ufffd舞"
    assert told.encode()
    assert flaw_of({"result": False, "error": "\udfff"}) == "\ufffd"


VALUE = {"type": "value_not_in_list", "message": "Value not in list", "details": "image: 'x.png' not in []"}
NODES = {"299": {"errors": [VALUE], "dependent_outputs": ["4"], "class_type": "LoadImage"}}
FOUND = "node 299 (LoadImage): Value not in list: image: 'x.png' not in []"


@pytest.mark.parametrize(
    ("tips", "flaw"),
    [
        ({"result": False, "error": None, "outputs_to_execute": [], "node_errors": NODES}, FOUND),
        ({"result": True, "error": None, "outputs_to_execute": ["4"], "node_errors": NODES}, FOUND),
        ({"result": False, "error": None, "node_errors": json.dumps(NODES)}, FOUND),
        ({"result": False, "error": {"message": "Prompt has no outputs"}, "node_errors": {}}, "Prompt has no outputs"),
        ({"result": False, "error": "invalid prompt", "node_errors": NODES}, f"invalid prompt; {FOUND}"),
        ({"result": False}, "the workflow did not pass validation"),
        ({"result": False, "node_errors": {"7": None}}, "node 7: is refused"),
        ({"result": False, "node_errors": {"7": "no such node"}}, "node 7: no such node"),
        ({"result": True, "error": None, "outputs_to_execute": ["4"], "node_errors": {}}, ""),
        ({"result": True, "node_errors": []}, ""),
        ({}, ""),
    ],
)
def test_prompt_tips_say_what_is_wrong_with_the_workflow_and_nothing_where_all_is_well(
    tips: dict[str, Any], flaw: str
) -> None:
    assert flaw_of(tips) == flaw_of(json.dumps(tips)) == flaw


@pytest.mark.parametrize("tips", ["", None, "tips", "[]", 7, "{broken"])
def test_unreadable_prompt_tips_find_nothing(tips: object) -> None:
    assert flaw_of(tips) == ""


# --- where it goes ----------------------------------------------------------------------------------------------------


def failed(reason: object, message: str = "m") -> Snapshot:
    body = {"taskId": TASK, "status": "FAILED", "errorCode": "1000", "errorMessage": message, "failedReason": reason}
    return STANDARD.decode_query(answer(body), TASK)


def error_of(snapshot: Snapshot, *, flaw: str = "") -> JobFailed:
    error = outcome_of(Job(request=None, flaw=flaw), snapshot, noticed_utc=datetime.now(UTC))
    assert isinstance(error, JobFailed)
    return error


def test_the_reason_is_on_the_snapshot_on_the_error_and_in_its_words() -> None:
    snapshot = failed(OOM)
    error = error_of(snapshot)
    assert snapshot.reason == error.reason == error.fresh().reason == SAID
    assert f"code 1000: m: {SAID.rstrip('.')} (task {TASK})." in str(error)


@pytest.mark.parametrize(
    ("reason", "message", "words"), [("why", "", "why"), ("", "m", "m"), ("m", "m", "m"), ({}, "", "no message")]
)
def test_the_words_of_a_failure_repeat_nothing_and_leave_nothing_out(reason: object, message: str, words: str) -> None:
    assert error_of(failed(reason, message)).message == f"the job failed with code 1000: {words}"


@pytest.mark.parametrize("code", ["1005", "1010", "1011", "1012", "1504"])
def test_a_job_that_failed_over_a_busy_server_says_that_it_may_be_submitted_again(code: str) -> None:
    body = {"taskId": TASK, "status": "FAILED", "errorCode": code, "errorMessage": "busy"}
    error = error_of(STANDARD.decode_query(answer(body), TASK))
    assert (error.may_resubmit, error.retryable, error.maybe_billed) == (True, False, True)
    assert "may be bought again" in str(error)
    assert "Change the inputs" not in str(error)


def test_any_other_failure_advises_to_change_the_inputs_first() -> None:
    error = error_of(failed(""))
    assert not error.may_resubmit
    assert "Change the inputs" in str(error)


def test_what_was_wrong_with_the_workflow_is_noted_on_the_failure_and_on_every_copy() -> None:
    error = error_of(failed(OOM), flaw=FOUND)
    assert [FOUND in note for note in error.fresh().__notes__] == [True]
    assert not hasattr(error_of(failed(OOM)), "__notes__")


def test_a_job_remembers_what_the_answer_to_its_submit_found() -> None:
    job = Job(request=None)
    apply_snapshot(job, STANDARD.decode_submit(answer_of("submit_prompttips_false.json")))
    apply_snapshot(job, failed(OOM))
    assert job.flaw == f"Prompt outputs failed validation; {FOUND}"
