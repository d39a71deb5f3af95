"""Every way to fail, as one tree. A leaf is chosen by who must act; it carries facts and prints nothing.

::

    RHError
    ├── ValidationError (ValueError)    refused here: nothing was sent, nothing is paid
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
    ├── InvalidResponse                 an answer nobody can read; keeps the bytes
    ├── SubmitUnknown                   a paid submit whose fate is unknown: never resent on its own
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
    ├── JournalError                    the journal cannot be used, or does not allow a move
    ├── UnexpectedError                 a defect; it ends one job, not the session
    └── SaveError (OSError)             an output could not be brought to disk
        └── OutputRefused              its link, size or bytes break a rule; the disk is not at fault
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

from ._printable import one_line
from .types import Snapshot, TaskId

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


class RHError(Exception):
    """The root: every error of this package.

    :ivar phase: what was being done: ``submit``, ``query``, ``upload``, ``download``, ``account`` or "".
    :ivar code: the server's error code, as text, or "".
    :ivar retryable: whether doing the same again is both harmless and sensible.
    :ivar maybe_billed: whether the account may have been charged.
    :ivar task_id: the server's id, where known.
    :ivar key: the caller's key, where known.
    :ivar earlier: the failures of earlier attempts, oldest first.
    :ivar advice: what to do next.
    """

    retryable: bool = False
    maybe_billed: bool = False
    advice: str = ""

    def __init__(
        self,
        message: str,
        *,
        phase: str = "",
        code: str = "",
        retryable: bool | None = None,
        maybe_billed: bool | None = None,
        task_id: TaskId | None = None,
        key: str | None = None,
        advice: str | None = None,
    ) -> None:
        message = one_line(message)  # it may quote the server, and ends in logs and on terminals
        super().__init__(message)
        self.message = message
        self.phase = phase
        self.code = code
        self.retryable = type(self).retryable if retryable is None else retryable
        self.maybe_billed = type(self).maybe_billed if maybe_billed is None else maybe_billed
        self.task_id = task_id
        self.key = key
        self.advice = type(self).advice if advice is None else advice
        self.earlier: tuple[RHError, ...] = ()

    def __str__(self) -> str:
        facts = [f"task {self.task_id}" if self.task_id else "", f"key {self.key}" if self.key else ""]
        about = ", ".join(filter(None, facts))
        said = self.message.rstrip(".。 ")
        return " ".join(filter(None, [f"{said}{f' ({about})' if about else ''}.", self.advice]))

    def after(self, earlier: Sequence[RHError]) -> Self:
        """Remember the failures of earlier attempts, and return this error."""
        self.earlier = tuple(earlier)
        return self

    def fresh(self) -> Self:
        """A copy to raise: an exception raised twice would grow its traceback and share its notes."""
        twin = copy.copy(self)
        twin.__cause__ = self.__cause__
        twin.__dict__.pop("__notes__", None)
        for note in getattr(self, "__notes__", ()):
            twin.add_note(note)
        return twin


class ValidationError(RHError, ValueError):
    """Refused before anything was sent: nothing is paid."""


class ConfigurationError(ValidationError):
    """The session's settings are wrong, or there is no API key."""

    advice = "Correct the setting; nothing was sent."


class InvalidRequestError(ValidationError):
    """A field of a request breaks a rule; the message names field, value and rule."""

    advice = "Correct the request; nothing was sent."


class KeyConflict(ValidationError):
    """The key belongs to a job with other inputs, or to one that was submitted under another API key.

    That job's result would be taken for this one's, or this job would be bought twice.
    """

    advice = "Use the API key it was submitted with, or another key for the submission."


class InvalidMedia(ValidationError):
    """A local file is missing, unreadable, or not what the model takes."""

    advice = "Give another file; nothing was submitted."


class BudgetReached(ValidationError):
    """What a batch may cost does not cover its next job."""

    advice = "Nothing more was submitted; what runs goes on. The same command with a larger budget continues."


class SessionError(RHError, RuntimeError):
    """The session is used outside ``async with``, from another event loop, or has ended."""

    advice = "Use a session inside its 'async with', on its own event loop."


class TransportError(RHError, ConnectionError):
    """The network failed."""

    retryable = True


class NotSent(TransportError):
    """Proved that no header of the request left this machine."""

    advice = "Check the network and the address; nothing was sent."


class ResponseLost(TransportError, TimeoutError):
    """The request may have arrived; no whole answer came back."""

    advice = "It may have arrived; check the network and ask again."


class OutOfResources(RHError, OSError):
    """This machine lacks descriptors, threads or memory for now; no file and no disk is at fault."""

    retryable = True
    advice = "Run fewer jobs or programs at once, or raise the limit on open files (ulimit -n)."


class InvalidResponse(RHError):
    """The answer is not what the API is documented to send.

    :ivar body: the bytes that came, cut at 64 KiB.
    """

    advice = "Something between here and the server may have answered in its place; ask again later."
    retryable = True

    def __init__(self, message: str, *, body: bytes = b"", phase: str = "", code: str = "") -> None:
        super().__init__(message, phase=phase, code=code)
        self.body: bytes = body[:65536]


class SubmitUnknown(RHError):
    """A submit left, and nobody knows whether it was accepted.

    It is never repeated on its own: the API has no idempotency key, a second one may buy a second video.
    """

    maybe_billed = True
    advice = (
        "It was not sent again, since that could buy a second video: look for the task in the console's call record, "
        "and submit again only if it is not there."
    )


class ApiError(RHError):
    """The server answered with an error code (contract 8); of this very class if nobody documented the code."""

    advice = "Look into the console's call record before doing it again."


class AuthenticationFailed(ApiError):
    """The key is unknown, refused, or of a type that may not do this."""

    advice = "Check the API key."


class RequestRejected(ApiError):
    """A parameter, a path or a method the server does not accept."""

    advice = "Correct the request."


class BalanceExhausted(ApiError):
    """The account has no money left."""

    advice = "Top up the account; what is in flight goes on."


class ContentRejected(ApiError):
    """The content did not pass moderation."""

    advice = "Change the image, the video or the prompt."


class AtCapacity(ApiError):
    """As many jobs as the account or the model admits are in flight already."""

    retryable = True
    advice = "It will be accepted once a slot frees."


class RateLimited(ApiError):
    """Too many requests.

    :ivar retry_after: seconds the server asked to wait, or None.
    """

    retryable = True
    advice = "It will be accepted a little later."
    retry_after: float | None = None


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


class JobError(RHError):
    """The job was accepted and did not end well.

    :ivar snapshot: the last answer about it, if there was one.
    :ivar reason: why it failed, in the server's words: ``node: what happened`` for a workflow; "" where unsaid.
    :ivar may_resubmit: whether the server was busy, so that the same request may succeed when it is bought again.
        That is the caller's to decide: each submit is paid, and nothing here repeats one whose task was accepted.
    """

    def __init__(
        self,
        message: str,
        *,
        task_id: TaskId | None = None,
        snapshot: Snapshot | None = None,
        reason: str = "",
        may_resubmit: bool = False,
        code: str = "",
        phase: str = "query",
        maybe_billed: bool | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(message, phase=phase, code=code, task_id=task_id, maybe_billed=maybe_billed, advice=advice)
        self.snapshot = snapshot
        self.reason = reason
        self.may_resubmit = may_resubmit


class JobFailed(JobError):
    """The server says that the job failed. Whether that is refunded is not documented (contract 9)."""

    advice = "Change the inputs before submitting again: each submit is paid."
    maybe_billed = True


class JobCancelled(JobError):
    """The job was cancelled (a refund is not documented, contract 9), or withdrawn before it was sent."""

    advice = "Submit it again if it is still wanted."
    maybe_billed = True


class JobLost(JobError):
    """The server does not answer for the job any more, or never settled it.

    It may do so again: with a journal, the same submission and `Recovery.resume` ask it once more.
    """

    maybe_billed = True
    advice = "Look for the task in the console's call record."


class JournalError(RHError):
    """The journal cannot be used, or does not allow a move; unless a task id is named, nothing was submitted."""

    advice = "Nothing is submitted without a working journal: mend it, or name another file."


class UnexpectedError(RHError):
    """A defect that nobody foresaw, in this package or below it; its cause is the original exception.

    It ends one job, or one call, and nothing else.
    """

    advice = "Please report it with the traceback that was logged."


class SaveError(RHError, OSError):
    """An output could not be brought to disk; the job itself is done and paid.

    :ivar why: what is wrong with the disk, without the file's name; "" where it is not the disk.
    """

    maybe_billed = True
    advice = "Save it again: the outputs can be fetched for about 24 h."

    def __init__(self, message: str, *, why: str = "", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.why = why

    def about(self, path: object, task_id: TaskId) -> Self:
        """The same trouble, as it is to be told of another job's file."""
        twin = self.fresh()
        twin.task_id = task_id
        if self.why:
            twin.message = f"{path} cannot be written: {self.why}"
        return twin


class OutputRefused(SaveError):
    """An output is not fetched, or not kept: its link, its size or its bytes break a rule; the disk is not at fault."""

    advice = "The job is done and paid: look at the link in the console, where it may still be fetched by hand."
