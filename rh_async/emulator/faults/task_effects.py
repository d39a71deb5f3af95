"""How one task's life differs from a good one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import define

from rh_async.emulator.faults.definitions import Fault
from rh_async.emulator.http.payloads import ERROR_MESSAGES, Json, usage

_FAILURES = frozenset({"failed", "node_errors", "moderation", "real_person"})
_MODERATED = "Content verification failed, 改提示词或图片"


@define(kw_only=True)
class TaskEffect:
    """What is in store for a task; the counters go down as answers are spoiled.

    :param ends: the status it settles with.
    :param usage: what a failed one says it consumed.
    :param reason: what a failed one says in ``failedReason``.
    :param tips: what the answer to its submit says in ``promptTips``; "" for what is usual.
    :param word: the status that the next ``odd_answers`` say.
    :param output_type: what its results call their type; "" for what they are.
    :param bare_answers: how many that say SUCCESS have no results.
    :param at_once: whether it settles when it is created.
    :param hidden: for how many seconds of its life it is not found.
    :param lingers: for how many seconds after it settled it holds its place.
    """

    final_status: str = "SUCCESS"
    code: str = ""
    message: str = ""
    usage: Json | None = None
    reason: Any = None
    prompt_tips: str = ""
    word: str = ""
    unknown_status_responses: int = 0
    output_type: str = ""
    responses_without_results: int = 0
    settles_on_submit: bool = False
    not_found_seconds: float = 0.0
    slot_release_delay: float = 0.0


def task_effect(fault: Fault | None) -> TaskEffect:
    """Turn a fault into what it means for the task it strikes."""
    if fault is None:
        return TaskEffect()
    if fault.kind in _FAILURES:
        return _failure(fault)
    return TaskEffect(
        word=fault.task_status,
        output_type=fault.output_type if fault.kind == "output_type" else "",
        unknown_status_responses=fault.responses if fault.kind == "unknown_status" else 0,
        responses_without_results=fault.responses if fault.kind == "success_without_results" else 0,
        settles_on_submit=fault.kind == "success_on_submit",
        not_found_seconds=fault.seconds if fault.kind == "not_found_first" else 0.0,
        slot_release_delay=fault.seconds if fault.kind == "slot_release_delay" else 0.0,
    )


def _failure(fault: Fault) -> TaskEffect:
    moderated = fault.kind == "moderation"
    code = fault.code or ""
    message = fault.message or (_MODERATED if moderated else ERROR_MESSAGES.get(code, ""))
    bad_workflow = fault.kind == "node_errors"
    return TaskEffect(
        final_status="FAILED",
        code=code,
        message=message,
        usage=usage(None, coins=None) if moderated else None,
        reason=fault.failed_reason or (dict(_NODE_FAILED) if bad_workflow else None),
        prompt_tips=_NODE_ERRORS if bad_workflow else "",
    )


# Contract 4.1: inner lists are JSON text.
_NODE_FAILED: Mapping[str, str] = MappingProxyType(
    {
        "node_id": "299",
        "node_name": "LoadImage",
        "exception_type": "FileNotFoundError",
        "exception_message": "[Errno 2] No such file or directory: 'x.png'",
        "traceback": json.dumps(['  File "/comfyui/execution.py", line 498, in execute\n']),
        "current_inputs": json.dumps({"image": ["x.png"]}),
        "current_outputs": json.dumps([]),
    }
)
# Contract 3.1, in ComfyUI's words.
_NODE_ERRORS = json.dumps(
    {
        "result": False,
        "error": {
            "type": "prompt_outputs_failed_validation",
            "message": "Prompt outputs failed validation",
            "details": "",
            "extra_info": {},
        },
        "outputs_to_execute": [],
        "node_errors": {
            "299": {
                "errors": [
                    {"type": "value_not_in_list", "message": "Value not in list", "details": "image: 'x.png' not in []"}
                ],
                "dependent_outputs": ["4"],
                "class_type": "LoadImage",
            }
        },
    }
)
