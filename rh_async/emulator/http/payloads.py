"""What the server says, word for word: the shapes of its answers and the text beside each documented code."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

Json = dict[str, Any]

# Contract 3.2, 4.3, 8: where the wire was seen, its exact text; elsewhere the identifier or the meaning in the table.
ERROR_MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "1": "API Key不存在",
        "301": "PARAMS_INVALID",
        "380": "WORKFLOW_NOT_EXISTS",
        "401": "ApiKey verification failed: API Key不存在",
        "403": "TOKEN_MISSION",
        "412": "TOKEN_INVALID",
        "415": "TASK_INSTANCE_MAXED",
        "416": "TASK_CREATE_FAILED_BY_NOT_ENOUGH_WALLET",
        "421": "api queue limit reached, please retry later | API 并发数已达上线，请降低并发或稍后重试",
        "423": "TASK_NOT_FOUNED",
        "433": "VALIDATE_PROMPT_FAILED",
        "435": "TASK_USER_EXCLAPI_INSTANCE_NOT_FOUND",
        "436": "TASK_USER_EXCLAPI_REQUIRED",
        "500": "UNKNOWN_ERROR",
        "801": "APIKEY_UNSUPPORTED_FREE_USER",
        "802": "APIKEY_UNAUTHORIZED",
        "803": "APIKEY_INVALID_NODE_INFO",
        "804": "APIKEY_TASK_IS_RUNNING",
        "805": "APIKEY_TASK_STATUS_ERROR",
        "806": "APIKEY_USER_NOT_FOUND",
        "807": "APIKEY_TASK_NOT_FOUND",
        "808": "APIKEY_UPLOAD_FAILED",
        "809": "APIKEY_FILE_SIZE_EXCEEDED",
        "810": "WORKFLOW_NOT_SAVED_OR_NOT_RUNNING",
        "811": "CORPAPIKEY_INVALID",
        "812": "CORPAPIKEY_INSUFFICIENT_FUNDS",
        "813": "APIKEY_TASK_IS_QUEUED",
        "814": "PERSONAL_QUEUE_COUNT_LIMIT",
        "817": "APIKEY_TASK_CANCEL_NOT_ALLOWED",
        "901": "WEBAPP_NOT_EXISTS",
        "1000": "Unknown error",
        "1001": "Invalid URL",
        "1002": "Invalid API key",
        "1003": "Rate limit exceeded",
        "1004": "Task not found, please check the task ID | 任务不存在或已过期，请检查任务ID",
        "1005": "Internal server error, please retry later",
        "1006": "Execution timed out",
        "1007": "failed to parse request body",
        "1008": "File size limit exceeded",
        "1009": "HTTP method not supported",
        "1010": "Service unavailable",
        "1011": "System busy, please retry later",
        "1012": "Upstream response exception",
        "1013": "File processing failed",
        "1014": (
            "Access Denied: Standard Model API is restricted to Enterprise-Shared API Keys only."
            "|访问被拒绝：标准模型 API 仅限企业级-共享 API Key 使用。"
        ),
        "1015": "Generation failed",
        "1101": "Node info error",
        "1501": "Content security audit did not pass",
        "1504": "Model timed out",
        "1505": "Real person prohibited",
        "1520": "TASK_USER_CONCURRENT_LIMIT",
        "1601": "ApiKey verification failed",
        "40310": (
            "Due to compliance requirements, this model is no longer available on the CN endpoint."
            " | 因合规要求，该模型已在国内站下线。"
        ),
    }
)


class RequestRejected(Exception):
    """The server says no, in one of its documented ways.

    :param task_id: the id the answer echoes, "" for most.
    """

    def __init__(self, code: str, message: str = "", *, task_id: str = "") -> None:
        super().__init__(code, message or ERROR_MESSAGES.get(code, ""))
        self.code = code
        self.message = message or ERROR_MESSAGES.get(code, "")
        self.task_id = task_id


def amount(money: Decimal) -> str:
    """Write money the way the server does: ``8.1``, never ``8.10`` nor ``1E+1``."""
    return format(money.normalize(), "f")


def usage(money: str | None, *, coins: str | None = "0") -> Json:
    """Say what a standard model's task consumed (contract 4.1)."""
    return {"consumeMoney": None, "consumeCoins": coins, "taskCostTime": "0", "thirdPartyConsumeMoney": money}


def submitted(task_id: str, status: str, *, client_id: str = "", prompt_tips: str = "") -> Json:
    """Accept a task (contract 3.1)."""
    return {
        "taskId": task_id,
        "status": status,
        "errorCode": "",
        "errorMessage": "",
        "results": None,
        "clientId": client_id,
        "promptTips": prompt_tips,
    }


def flat(
    task_id: str = "",
    status: str = "",
    *,
    code: str = "",
    message: str = "",
    results: list[Json] | None = None,
    usage: Json | None = None,
    reason: Any = None,
) -> Json:
    """Answer a query, or refuse anything, in the flat v2 shape (contract 3.2, 4.1)."""
    return {
        "taskId": task_id,
        "status": status,
        "errorCode": code,
        "errorMessage": message,
        "results": results,
        "clientId": "",
        "promptTips": "",
        "failedReason": {} if reason is None else reason,
        "usage": usage,
        "parentTaskId": None,
        "taskUsageList": None,
    }


def envelope(data: object = None, *, code: str = "0", message: str = "success") -> Json:
    """Answer in the v1 shape, which the management calls share (contract 6)."""
    return {"code": int(code), "msg": message, "data": data}


def counts(running: int, queued: int) -> Json:
    """Count an account's tasks, as text (contract 9)."""
    return {"runningCount": str(running), "queuedCount": str(queued), "totalCurrentTasks": str(running + queued)}


def flat_error(refused: RequestRejected) -> Json:
    """Refuse a submit or a query."""
    return flat(refused.task_id, code=refused.code, message=refused.message)


def envelope_error(refused: RequestRejected) -> Json:
    """Refuse a management call."""
    return envelope(code=refused.code, message=refused.message)


def price_error(refused: RequestRejected) -> Json:
    """Refuse to quote a price."""
    return {"errorCode": refused.code, "errorMessage": refused.message}


def upload_error(refused: RequestRejected) -> Json:
    """Refuse an upload; a bad key has a shape of its own here (contract 5.1)."""
    if refused.code == "401":
        return {"code": 401, "message": refused.message}
    return {"code": int(refused.code), "msg": refused.message, "errorMessages": None, "data": None}
