"""The documented error codes with their messages, and the exception that rejects a request with one of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Contract 3.2, 4.3 and 8: the exact text of captured responses; for other codes, the identifier or the meaning there.
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
    """Reject a request with a documented error code.

    :param message: the error message; "" for the documented one of the code.
    :param task_id: the task id in the response; "" for most errors.
    """

    def __init__(self, code: str, message: str = "", *, task_id: str = "") -> None:
        self.code = code
        self.message = message or ERROR_MESSAGES.get(code, "")
        self.task_id = task_id
        super().__init__(code, self.message)
