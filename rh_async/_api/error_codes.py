"""What an error code means: one table from code to error class (contract 8), and who may repeat what.

Never chosen by words: "balance" is also in "load balancer".
"""

from __future__ import annotations

from rh_async import errors
from rh_async.types import TaskId

from .wire import ApiResponse, Route

GLOBAL_SITE = "https://www.runninghub.ai"
CHINA_SITE = "https://www.runninghub.cn"

_CLASSES: dict[type[errors.ApiError], str] = {
    errors.AuthenticationFailed: "-1 1 401 403 412 801 802 806 811 1002 1014 1601 435 436",
    errors.RequestRejected: "301 433 803 808 809 1001 1007 1008 1009 1013 1101 817",
    errors.BalanceExhausted: "416 812",
    errors.ContentRejected: "1501 1505",
    errors.AtCapacity: "415 421 814 1011 1520",
    errors.RateLimited: "1003",
    errors.ModelUnavailable: "1010 40310",
    errors.NotFound: "380 423 807 810 901 1004",
    errors.ServerFault: "500 805 1000 1005 1006 1012 1015 1504",
}
ERROR_CLASSES: dict[str, type[errors.ApiError]] = {
    code: kind for kind, codes in _CLASSES.items() for code in codes.split()
}

# The only refusals of a submit that say "later" in words: harmless to repeat.
_REFUSED_FOR_NOW = frozenset({"415", "421", "814", "1003", "1010", "1011", "1520"})
# After these a task may exist and be charged: the server speaks of its own trouble, not of the request (contract 9).
_MAYBE_BOUGHT = frozenset({"500", "1000", "1005", "1006", "1012", "1015", "1504"})
_FINAL = (errors.AuthenticationFailed, errors.BalanceExhausted, errors.ContentRejected)
_KEY_REFUSED = frozenset({"806", "802", "1002", "1014"})
# At the end of a job these say that the server was busy or broken: the inputs are as good as before.
_BUSY = frozenset({"415", "421", "500", "814", "1003", "1005", "1006", "1010", "1011", "1012", "1504", "1520"})
_BUSY_ADVICE = "The server was busy: the same request may be bought again, knowingly; each submit is paid."
_WRONG_ADDRESS = "Check the address (base_url=): it wants scheme and host alone, and something else answers there."
# 808 and 1013 are about carrying a file up, -1 was seen to pass the next time: the same again may work (contract 8).
_ALSO_RETRYABLE = frozenset({"-1", "808", "1010", "1013"})


def is_final(code: str) -> bool:
    """Whether a code is about the account or the content, so that waiting is of no use whatever the HTTP status."""
    return issubclass(ERROR_CLASSES.get(code, errors.ApiError), _FINAL)


def is_key_rejected(error: errors.RHError) -> bool:
    """Whether the server refuses the key itself, so that asking anything more is of no use."""
    return isinstance(error, errors.ApiError) and error.code in _KEY_REFUSED


def api_error(
    code: str, message: str, route: Route, *, answer: ApiResponse | None = None, task_id: TaskId | None = None
) -> errors.ApiError:
    """The error a code stands for; an unlisted one is never taken for harmless."""
    kind = _class_of(code, route)
    error = kind(
        f"{route.value} refused with code {code}: {message or 'no message'}",
        phase=route.value,
        code=code,
        task_id=task_id or None,
        retryable=_retryable(code, message, route, kind),
        maybe_billed=route is Route.SUBMIT and (code not in ERROR_CLASSES or code in _MAYBE_BOUGHT),
        advice=_advice(kind, code, route),
    )
    if isinstance(error, errors.RateLimited) and answer is not None:
        error.retry_after = answer.retry_after
    return error


def _class_of(code: str, route: Route) -> type[errors.ApiError]:
    if route is Route.PRICE and code == _NO_PRICE:
        return errors.NotFound
    return ERROR_CLASSES.get(code, errors.ApiError)


def _retryable(code: str, message: str, route: Route, kind: type[errors.ApiError]) -> bool:
    if route is Route.SUBMIT:
        return code in _REFUSED_FOR_NOW
    # One code for a key that failed to pass for once, and for none at all (contract 1.2): only the words differ.
    keyless = code == "-1" and "required" in message.lower()
    return not keyless and (kind.retryable or code in _ALSO_RETRYABLE)


_NO_PRICE = "1501"
"""Of a price, PRICE_CONFIG_NOT_FOUND; anywhere else, moderation (contract 12.11)."""


def is_server_busy(code: str) -> bool:
    """Whether a job that failed with this code failed over the server's trouble, not over its inputs."""
    return code in _BUSY


def advice_for(code: str) -> str | None:
    """What to do about a code that a job failed with; None where nothing is known of it."""
    if is_server_busy(code):
        return _BUSY_ADVICE
    kind = ERROR_CLASSES.get(code)
    return _advice(kind, code) if kind in {errors.ContentRejected, errors.RequestRejected} else None


def _advice(kind: type[errors.ApiError], code: str, route: Route | None = None) -> str:
    if route is Route.PRICE and code == _NO_PRICE:
        return "The server quotes no price for this model; the published price list may have one."
    if code in {"806", "1002"}:
        return f"Check the key; keys of {GLOBAL_SITE} and {CHINA_SITE} are not shared (base_url=)."
    if code == "1014":
        return "This model needs an enterprise-shared API key."
    return kind.advice


def may_have_created_task(error: errors.RHError, status: int) -> bool:
    """Whether a submit that was answered so may have created a task: the costliest reading (contract 12.13, 12.14)."""
    if status == 408 or status >= 500 or status < 200 or 300 <= status < 400:
        return True
    return error.code in _MAYBE_BOUGHT or (isinstance(error, errors.InvalidResponse) and status < 400)


def http_error(answer: ApiResponse, route: Route, task_id: TaskId | None = None) -> errors.RHError:
    """The error an HTTP status stands for, where the body says nothing of its own (contract 3.3)."""
    code = f"HTTP {answer.status}"
    words = f"{route.value} answered {code}"
    kind = _http_class(answer.status)
    if kind is None:
        unreadable = errors.InvalidResponse(words, body=answer.body, phase=route.value, code=code)
        unreadable.task_id = task_id or None
        return unreadable
    # A real 404 of the API names a code of its own: whoever answers without one is another server.
    foreign = answer.status == 404
    error = kind(
        f"{words}: nothing of the API is at this address" if foreign else words,
        phase=route.value,
        code=code,
        task_id=task_id or None,
        advice=_WRONG_ADDRESS if foreign else None,
    )
    if isinstance(error, errors.RateLimited):
        error.retry_after = answer.retry_after
    return error


def _http_class(status: int) -> type[errors.ApiError] | None:
    if status in {401, 403}:
        return errors.AuthenticationFailed
    if 400 <= status < 500 and status != 408:
        return {404: errors.NotFound, 429: errors.RateLimited}.get(status, errors.RequestRejected)
    return None
