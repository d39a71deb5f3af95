"""Says what an error code means: one row per documented code (contract 8), and the errors for HTTP statuses.

The code alone chooses the class, never the message: "balance" is also in "load balancer". Who must act (``blame``) and
what a command returns (``exit_code``) are attributes of the class, so that network failures have them too.
"""

from __future__ import annotations

from attrs import field, frozen

from rh_async import errors
from rh_async.types import TaskId

from .wire import ApiResponse, Route

GLOBAL_SITE = "https://www.runninghub.ai"
CHINA_SITE = "https://www.runninghub.cn"

_CHECK_KEY = f"Check the key; keys of {GLOBAL_SITE} and {CHINA_SITE} are not shared (base_url=)."
_ENTERPRISE_KEY = "This model needs an enterprise-shared API key."
_CHECK_ADDRESS = "Check the address (base_url=): it wants scheme and host alone, and something else answers there."
_SERVER_BUSY = "The server was busy: the same request may be bought again, knowingly; each submit is paid."
_NO_PRICE_KNOWN = "The server quotes no price for this model; the published price list may have one."


@frozen
class ErrorCode:
    """Describe one documented code.

    :param code: as text.
    :param kind: the class of its error.
    :param retry_submit: whether a submit that was refused with it may be repeated: only where the server says in words
        that it took no job for now. Repeating any other could pay twice.
    :param retry: whether any other call may be repeated although ``kind`` is not retryable.
    :param maybe_billed: whether a submit that was answered with it may have created a task that is charged: the server
        speaks of its own trouble, not of the request (contract 9).
    :param server_busy: whether a job that failed with it failed over the server's trouble, not over its inputs.
    :param rejects_key: whether it refuses the API key itself, so that no other call can succeed either.
    :param advice: what to do, where ``kind`` does not say it.
    """

    code: str
    kind: type[errors.ApiError]
    retry_submit: bool = field(default=False, kw_only=True)
    retry: bool = field(default=False, kw_only=True)
    maybe_billed: bool = field(default=False, kw_only=True)
    server_busy: bool = field(default=False, kw_only=True)
    rejects_key: bool = field(default=False, kw_only=True)
    advice: str | None = field(default=None, kw_only=True)

    @property
    def is_final(self) -> bool:
        """Whether it refuses the account or the content, so that waiting does not help, whatever the HTTP status."""
        return issubclass(self.kind, errors.AuthenticationFailed | errors.BalanceExhausted | errors.ContentRejected)


_ROWS = (
    ErrorCode("-1", errors.AuthenticationFailed, retry=True),  # key not verified, or no key (contract 1.2)
    ErrorCode("1", errors.AuthenticationFailed),  # a v1 call failed: no webhook, or no such key
    ErrorCode("401", errors.AuthenticationFailed),  # key not verified (upload's envelope)
    ErrorCode("403", errors.AuthenticationFailed),  # console call without a login
    ErrorCode("412", errors.AuthenticationFailed),  # invalid token; the pages say that a path is misspelt
    ErrorCode("435", errors.AuthenticationFailed),  # no such machine: needs `plus`
    ErrorCode("436", errors.AuthenticationFailed),  # exclusive plan required, or ended
    ErrorCode("801", errors.AuthenticationFailed),  # free users have no API
    ErrorCode("802", errors.AuthenticationFailed, rejects_key=True),  # key not authorised
    ErrorCode("806", errors.AuthenticationFailed, rejects_key=True, advice=_CHECK_KEY),  # unknown key
    ErrorCode("811", errors.AuthenticationFailed),  # enterprise key invalid
    ErrorCode("1002", errors.AuthenticationFailed, rejects_key=True, advice=_CHECK_KEY),  # invalid key
    ErrorCode("1014", errors.AuthenticationFailed, rejects_key=True, advice=_ENTERPRISE_KEY),  # key of the wrong type
    ErrorCode("1601", errors.AuthenticationFailed),  # key not verified (only in a third party's test)
    ErrorCode("301", errors.RequestRejected),  # bad parameters
    ErrorCode("433", errors.RequestRejected),  # the workflow was found invalid
    ErrorCode("803", errors.RequestRejected),  # bad `nodeInfoList`
    ErrorCode("808", errors.RequestRejected, retry=True),  # about carrying a file up
    ErrorCode("809", errors.RequestRejected),  # file too large
    ErrorCode("817", errors.RequestRejected),  # not cancellable any more (contract 6)
    ErrorCode("1001", errors.RequestRejected),  # no such path
    ErrorCode("1007", errors.RequestRejected),  # a parameter is invalid
    ErrorCode("1008", errors.RequestRejected),  # file too large
    ErrorCode("1009", errors.RequestRejected),  # wrong HTTP method
    ErrorCode("1013", errors.RequestRejected, retry=True),  # a file not fetched
    ErrorCode("1101", errors.RequestRejected),  # node information wrong
    ErrorCode("416", errors.BalanceExhausted),  # not enough coins
    ErrorCode("812", errors.BalanceExhausted),  # wallet empty
    ErrorCode("1501", errors.ContentRejected),  # moderation
    ErrorCode("1505", errors.ContentRejected),  # real people are not allowed
    ErrorCode("415", errors.AtCapacity, retry_submit=True, server_busy=True),  # no free machine
    ErrorCode("421", errors.AtCapacity, retry_submit=True, server_busy=True),  # concurrency used up
    ErrorCode("814", errors.AtCapacity, retry_submit=True, server_busy=True),  # personal queue full, 1,000 tasks
    ErrorCode("1011", errors.AtCapacity, retry_submit=True, server_busy=True),  # system or model busy
    ErrorCode("1520", errors.AtCapacity, retry_submit=True, server_busy=True),  # concurrency used up, newer table
    ErrorCode("1003", errors.RateLimited, retry_submit=True, server_busy=True),  # too many requests
    ErrorCode("1010", errors.ModelUnavailable, retry_submit=True, retry=True, server_busy=True),  # service unavailable
    ErrorCode("40310", errors.ModelUnavailable),  # model withdrawn on the Chinese site
    ErrorCode("380", errors.NotFound),  # no such workflow
    ErrorCode("423", errors.NotFound),  # task not found
    ErrorCode("807", errors.NotFound),  # no such task
    ErrorCode("810", errors.NotFound),  # workflow never saved or run
    ErrorCode("901", errors.NotFound),  # no such AI app
    ErrorCode("1004", errors.NotFound),  # task not found, or expired
    ErrorCode("500", errors.ServerFault, maybe_billed=True, server_busy=True),  # unknown error
    ErrorCode("805", errors.ServerFault),  # the task failed
    ErrorCode("1000", errors.ServerFault, maybe_billed=True),  # unknown error, and any exception in a ComfyUI node
    ErrorCode("1005", errors.ServerFault, maybe_billed=True, server_busy=True),  # internal error
    ErrorCode("1006", errors.ServerFault, maybe_billed=True, server_busy=True),  # the run timed out
    ErrorCode("1012", errors.ServerFault, maybe_billed=True, server_busy=True),  # bad answer from upstream
    ErrorCode("1015", errors.ServerFault, maybe_billed=True),  # generation failed
    ErrorCode("1504", errors.ServerFault, maybe_billed=True, server_busy=True),  # the model timed out
)
ERROR_CODES = {row.code: row for row in _ROWS}

_NO_PRICE = "1501"
"""Of a price, PRICE_CONFIG_NOT_FOUND; anywhere else, moderation (contract 12.11)."""


def api_error(
    code: str, message: str, route: Route, *, response: ApiResponse | None = None, task_id: TaskId | None = None
) -> errors.ApiError:
    """Make the error that a code stands for. A code without a row is never taken for harmless."""
    row = _row_of(code, route)
    is_submit = route is Route.SUBMIT
    error = row.kind(
        f"{route.value} refused with code {code}: {message or 'no message'}",
        phase=route.value,
        code=code,
        task_id=task_id or None,
        retryable=row.retry_submit if is_submit else _is_retryable(row, message),
        maybe_billed=is_submit and (row.maybe_billed or code not in ERROR_CODES),
        advice=row.advice,
    )
    if isinstance(error, errors.RateLimited) and response is not None:
        error.retry_after = response.retry_after
    return error


def _row_of(code: str, route: Route) -> ErrorCode:
    if route is Route.PRICE and code == _NO_PRICE:
        return ErrorCode(code, errors.NotFound, advice=_NO_PRICE_KNOWN)
    return ERROR_CODES.get(code) or ErrorCode(code, errors.ApiError)


def _is_retryable(row: ErrorCode, message: str) -> bool:
    # One code for a key that failed to pass for once, and for none at all (contract 1.2): only the words differ.
    is_keyless = row.code == "-1" and "required" in message.lower()
    return not is_keyless and (row.kind.retryable or row.retry)


def is_final(code: str) -> bool:
    """Whether a code refuses the account or the content, so that waiting does not help, whatever the HTTP status."""
    return code in ERROR_CODES and ERROR_CODES[code].is_final


def is_key_rejected(error: errors.RHError) -> bool:
    """Whether the server refuses the API key itself, so that no other call can succeed either."""
    return isinstance(error, errors.ApiError) and error.code in ERROR_CODES and ERROR_CODES[error.code].rejects_key


def is_server_busy(code: str) -> bool:
    """Whether a job that failed with this code failed over the server's trouble, not over its inputs."""
    return code in ERROR_CODES and ERROR_CODES[code].server_busy


def advice_for(code: str) -> str | None:
    """Say what to do about a code that a job failed with; None where it says nothing about the inputs."""
    if is_server_busy(code):
        return _SERVER_BUSY
    kind = ERROR_CODES[code].kind if code in ERROR_CODES else None
    return kind.advice if kind in {errors.ContentRejected, errors.RequestRejected} else None


def may_have_created_task(error: errors.RHError, status: int) -> bool:
    """Whether a submit that was answered so may have created a task, in the costliest reading (contract 12.13, 12.14).

    :param status: of HTTP. A gateway may answer 408 or 5xx, or redirect, after the server behind it took the submit.
    """
    if status == 408 or status >= 500 or status < 200 or 300 <= status < 400:
        return True
    if error.code in ERROR_CODES and ERROR_CODES[error.code].maybe_billed:
        return True
    return isinstance(error, errors.InvalidResponse) and status < 400


def http_error(response: ApiResponse, route: Route, task_id: TaskId | None = None) -> errors.RHError:
    """Make the error that an HTTP status stands for, where the body says nothing of its own (contract 3.3)."""
    code = f"HTTP {response.status}"
    message = f"{route.value} answered {code}"
    kind = _http_class(response.status)
    if kind is None:
        invalid = errors.InvalidResponse(message, body=response.body, phase=route.value, code=code)
        invalid.task_id = task_id or None
        return invalid
    # A real 404 of the API carries a code of its own; one without comes from another server.
    is_foreign = response.status == 404
    error = kind(
        f"{message}: nothing of the API is at this address" if is_foreign else message,
        phase=route.value,
        code=code,
        task_id=task_id or None,
        advice=_CHECK_ADDRESS if is_foreign else None,
    )
    if isinstance(error, errors.RateLimited):
        error.retry_after = response.retry_after
    return error


def _http_class(status: int) -> type[errors.ApiError] | None:
    """Choose the class; None where a proxy or a gateway may have answered in the server's place."""
    if status in {401, 403}:
        return errors.AuthenticationFailed
    if 400 <= status < 500 and status != 408:
        return {404: errors.NotFound, 429: errors.RateLimited}.get(status, errors.RequestRejected)
    return None
