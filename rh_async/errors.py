"""Defines every way to fail, as one tree. A class says who must act; an error carries facts and prints nothing.

::

    RHError
    ├── ValidationError (ValueError)    refused here: nothing was sent, nothing is billed
    │   ├── ConfigurationError          the session's settings or the API key
    │   ├── InvalidRequestError         a field of a request
    │   ├── KeyConflict                 a key of another job, or of another API key
    │   ├── InvalidMedia                a local file
    │   └── BudgetReached               a batch's budget
    ├── SessionError (RuntimeError)     the session is not open, or belongs to another loop
    ├── TransportError (ConnectionError)
    │   ├── NotSent                     no byte of the request left: harmless to repeat
    │   └── ResponseLost (TimeoutError) it may have arrived
    ├── OutOfResources (OSError)        this machine lacks descriptors, threads or memory
    ├── InvalidResponse                 a response that cannot be read; keeps the bytes
    ├── SubmitUnknown                   a paid submit with an unknown end: never resent on its own
    ├── ApiError                        the server refused, with a code
    │   ├── AuthenticationFailed        the key is unknown, expired or of the wrong type
    │   ├── RequestRejected             a parameter, a path, a method
    │   ├── BalanceExhausted            the account has no money left
    │   ├── ContentRejected             moderation
    │   ├── AtCapacity                  too many jobs at once; a slot will free
    │   ├── RateLimited                 too many requests; later
    │   ├── ModelUnavailable            withdrawn here, or out of service
    │   ├── NotFound                    the server does not know it, or no longer
    │   └── ServerFault                 the server's own trouble
    ├── JobError                        the job was accepted and did not end well
    │   ├── JobFailed
    │   ├── JobCancelled
    │   └── JobLost                     the server no longer answers for it
    ├── JournalError                    the journal cannot be used, or does not allow a transition
    ├── UnexpectedError                 a defect; it ends one job, not the session
    └── SaveError (OSError)             an output could not be written to disk
        └── OutputRefused               its link, size or bytes break a rule; the disk is not at fault
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ._error_base import Blame, RHError
from ._job_errors import JobCancelled, JobError, JobFailed, JobLost
from .types import TaskId

# fmt: off
__all__ = [
    "ApiError", "AtCapacity", "AuthenticationFailed", "BalanceExhausted", "Blame", "BudgetReached",
    "ConfigurationError", "ContentRejected", "InvalidMedia", "InvalidRequestError", "InvalidResponse",
    "JobCancelled", "JobError", "JobFailed", "JobLost", "JournalError", "KeyConflict", "ModelUnavailable",
    "NotFound", "NotSent", "OutOfResources", "OutputRefused", "RHError", "RateLimited", "RequestRejected",
    "ResponseLost", "SaveError", "ServerFault", "SessionError", "SubmitUnknown", "TransportError",
    "UnexpectedError", "ValidationError",
]
# fmt: on

STORED_NAMES: Mapping[str, str] = {
    "ContentRefused": "ContentRejected",
    "InvalidRequest": "RequestRejected",
    "KeyInUse": "KeyConflict",
    "LocalRefusal": "ValidationError",
    "MediaRefused": "InvalidMedia",
    "NeverArrived": "NotSent",
    "NoAnswer": "ResponseLost",
    "RequestRefused": "InvalidRequestError",
    "UnreadableAnswer": "InvalidResponse",
}
"""Class names that earlier versions wrote into journals and results logs, with their names of today; only read."""


class ValidationError(RHError, ValueError):
    """Refused before anything was sent: nothing is billed."""

    _exit_code = 2


class ConfigurationError(ValidationError):
    """The session's settings are wrong, or there is no API key."""

    advice = "Correct the setting; nothing was sent."


class InvalidRequestError(ValidationError):
    """A field of a request breaks a rule; the message names field, value and rule."""

    advice = "Correct the request; nothing was sent."


class KeyConflict(ValidationError):
    """The key belongs to a job with other inputs, or to one that was submitted under another API key.

    That job's result would be taken for this one's, or this job would be submitted twice.
    """

    advice = "Use the API key it was submitted with, or another key for the submission."


class InvalidMedia(ValidationError):
    """A local file is missing, unreadable, or not what the model takes."""

    advice = "Give another file; nothing was submitted."


class BudgetReached(ValidationError):
    """What a batch may cost does not cover its next job."""

    advice = "Nothing more was submitted; what runs goes on. The same command with a larger budget continues."
    _exit_code = 4


class SessionError(RHError, RuntimeError):
    """The session is used outside ``async with``, from another event loop, or has ended."""

    advice = "Use a session inside its 'async with', on its own event loop."
    _blame = "transient"


class TransportError(RHError, ConnectionError):
    """The network failed."""

    retryable = True
    _blame = "transient"


class NotSent(TransportError):
    """Proved that no header of the request left this machine."""

    advice = "Check the network and the address; nothing was sent."


class ResponseLost(TransportError, TimeoutError):
    """The request may have arrived; no whole response came back."""

    advice = "It may have arrived; check the network and ask again."


class OutOfResources(RHError, OSError):
    """This machine lacks descriptors, threads or memory for now; no file and no disk is at fault."""

    retryable = True
    advice = "Run fewer jobs or programs at once, or raise the limit on open files (ulimit -n)."


class InvalidResponse(RHError):
    """The response is not what the API is documented to send.

    :ivar body: the bytes that came, cut at 64 KiB.
    """

    advice = "Something between here and the server may have answered in its place; ask again later."
    retryable = True
    _blame = "transient"

    def __init__(self, message: str, *, body: bytes = b"", phase: str = "", code: str = "") -> None:
        super().__init__(message, phase=phase, code=code)
        self.body: bytes = body[:65536]


class SubmitUnknown(RHError):
    """A submit left, and it is unknown whether the server accepted it.

    It is never repeated on its own: the API has no idempotency key, a second one may buy a second video.
    """

    maybe_billed = True
    advice = (
        "It was not sent again, since that could buy a second video: look for the task in the console's call record, "
        "and submit again only if it is not there."
    )
    _blame = "transient"


class ApiError(RHError):
    """The server answered with an error code (contract 8); of this very class if the code is not documented."""

    advice = "Look into the console's call record before doing it again."


class AuthenticationFailed(ApiError):
    """The key is unknown, refused, or of a type that may not do this."""

    advice = "Check the API key."
    _blame = "account"
    _exit_code = 3


class RequestRejected(ApiError):
    """A parameter, a path or a method the server does not accept."""

    advice = "Correct the request."


class BalanceExhausted(ApiError):
    """The account has no money left."""

    advice = "Top up the account; what is in flight goes on."
    _blame = "account"
    _exit_code = 3


class ContentRejected(ApiError):
    """The content did not pass moderation."""

    advice = "Change the image, the video or the prompt."


class AtCapacity(ApiError):
    """As many jobs as the account or the model admits are in flight already."""

    retryable = True
    advice = "It will be accepted once a slot frees."
    _blame = "transient"


class RateLimited(ApiError):
    """Too many requests.

    :ivar retry_after: seconds the server asked to wait, or None.
    """

    retryable = True
    advice = "It will be accepted a little later."
    retry_after: float | None = None
    _blame = "transient"


class ModelUnavailable(ApiError):
    """The model is withdrawn on this site, or out of service."""

    advice = "Use another model, or try again later."


class NotFound(ApiError):
    """The server does not know it, or no longer."""

    advice = "Check the id, and that the key is of the same account and site."


class ServerFault(ApiError):
    """The server's own trouble."""

    advice = "Try again later."
    retryable = True
    _blame = "transient"


class JournalError(RHError):
    """The journal cannot be used, or refuses a transition; unless a task id is named, nothing was submitted."""

    advice = "Nothing is submitted without a working journal: mend it, or name another file."
    _blame = "local_io"

    @property
    def exit_code(self) -> int:
        """A usage error while nothing is billed: another journal file mends it."""
        return 1 if self.maybe_billed else 2


class UnexpectedError(RHError):
    """A defect in this package or below it; its cause is the original exception. It ends one job or one call."""

    advice = "Please report it with the traceback that was logged."


class SaveError(RHError, OSError):
    """An output could not be written to disk; the job itself is done and paid.

    :ivar why: what is wrong with the disk, without the file's name; "" where it is not the disk.
    """

    maybe_billed = True
    advice = "Save it again: the outputs can be fetched for about 24 h."
    _blame: ClassVar[Blame | None] = "local_io"

    def __init__(self, message: str, *, why: str = "", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.why = why

    def about(self, path: object, task_id: TaskId) -> Self:
        """Copy the error for another job's file, which the same disk refuses."""
        copied = self.fresh()
        copied.task_id = task_id
        if self.why:
            copied.message = f"{path} cannot be written: {self.why}"
        return copied


class OutputRefused(SaveError):
    """An output is not fetched, or not kept: its link, its size or its bytes break a rule; the disk is not at fault."""

    advice = "The job is done and paid: look at the link in the console, where it may still be fetched by hand."
    _blame = None
