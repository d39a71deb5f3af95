"""Translates a fault on a task into the effect that the task has (contract 3.1, 4.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from rh_async.emulator.faults.definitions import Fault
from rh_async.emulator.state.emulated_task import TaskEffect
from rh_async.emulator.state.rejections import ERROR_MESSAGES

_FAILURES = frozenset({"failed", "node_errors", "moderation", "real_person"})
_MODERATION_MESSAGE = "Content verification failed, 改提示词或图片"

# Contract 4.1: the inner lists are JSON text.
_NODE_FAILED_REASON: Mapping[str, str] = MappingProxyType(
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
# Contract 3.1: ComfyUI's own format.
_NODE_ERROR_TIPS = json.dumps(
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


def task_effect(fault: Fault | None) -> TaskEffect:
    """Return the effect of a fault on the task that it affects."""
    if fault is None:
        return TaskEffect()
    if fault.kind in _FAILURES:
        return _failure(fault)
    return TaskEffect(
        task_status=fault.task_status,
        output_type=fault.output_type if fault.kind == "output_type" else "",
        unknown_status_responses=fault.responses if fault.kind == "unknown_status" else 0,
        responses_without_results=fault.responses if fault.kind == "success_without_results" else 0,
        settles_on_submit=fault.kind == "success_on_submit",
        not_found_seconds=fault.seconds if fault.kind == "not_found_first" else 0.0,
        slot_release_delay=fault.seconds if fault.kind == "slot_release_delay" else 0.0,
    )


def _failure(fault: Fault) -> TaskEffect:
    moderated, node_errors = fault.kind == "moderation", fault.kind == "node_errors"
    code = fault.code or ""
    return TaskEffect(
        final_status="FAILED",
        code=code,
        message=fault.message or (_MODERATION_MESSAGE if moderated else ERROR_MESSAGES.get(code, "")),
        has_usage=moderated,
        failed_reason=fault.failed_reason or (dict(_NODE_FAILED_REASON) if node_errors else None),
        prompt_tips=_NODE_ERROR_TIPS if node_errors else "",
    )
