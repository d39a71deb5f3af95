"""Builds the JSON bodies of responses, in the shapes that the contract documents."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rh_async.emulator.state.rejections import RequestRejected

Json = dict[str, Any]


def format_amount(money: Decimal) -> str:
    """Write an amount of money as the server does: ``8.1``, never ``8.10`` nor ``1E+1``."""
    return format(money.normalize(), "f")


def usage_payload(money: str | None, *, coins: str | None = "0") -> Json:
    """Report what a standard model's task was charged (contract 4.1)."""
    return {"consumeMoney": None, "consumeCoins": coins, "taskCostTime": "0", "thirdPartyConsumeMoney": money}


def submit_payload(task_id: str, status: str, *, client_id: str = "", prompt_tips: str = "") -> Json:
    """Report an accepted submit (contract 3.1)."""
    return {
        "taskId": task_id,
        "status": status,
        "errorCode": "",
        "errorMessage": "",
        "results": None,
        "clientId": client_id,
        "promptTips": prompt_tips,
    }


def task_payload(
    task_id: str = "",
    status: str = "",
    *,
    code: str = "",
    message: str = "",
    results: list[Json] | None = None,
    usage: Json | None = None,
    failed_reason: Any = None,
) -> Json:
    """Report a task, or an error, in the flat shape of the v2 calls (contract 3.2, 4.1)."""
    return {
        "taskId": task_id,
        "status": status,
        "errorCode": code,
        "errorMessage": message,
        "results": results,
        "clientId": "",
        "promptTips": "",
        "failedReason": {} if failed_reason is None else failed_reason,
        "usage": usage,
        "parentTaskId": None,
        "taskUsageList": None,
    }


def envelope_payload(data: object = None, *, code: str = "0", message: str = "success") -> Json:
    """Wrap a response in the v1 envelope, which the management calls share (contract 6)."""
    return {"code": int(code), "msg": message, "data": data}


def counter_payload(running: int, queued: int) -> Json:
    """Report an account's queue counters, which are text (contract 9)."""
    return {"runningCount": str(running), "queuedCount": str(queued), "totalCurrentTasks": str(running + queued)}


def task_error(rejected: RequestRejected) -> Json:
    """Report that a submit or a query was rejected."""
    return task_payload(rejected.task_id, code=rejected.code, message=rejected.message)


def envelope_error(rejected: RequestRejected) -> Json:
    """Report that a management call was rejected."""
    return envelope_payload(code=rejected.code, message=rejected.message)


def price_error(rejected: RequestRejected) -> Json:
    """Report that a price preview was rejected."""
    return {"errorCode": rejected.code, "errorMessage": rejected.message}


def upload_error(rejected: RequestRejected) -> Json:
    """Report that an upload was rejected; only here has a bad key a shape of its own (contract 5.1)."""
    if rejected.code == "401":
        return {"code": 401, "message": rejected.message}
    return {"code": int(rejected.code), "msg": rejected.message, "errorMessages": None, "data": None}
