"""Sorts failures by who must act, and by what became of the job. Pure."""

from __future__ import annotations

import re

from rh_async.errors import JobCancelled, JobError, JournalError, RHError, SessionError, SubmitUnknown

from .batch_outcome import OutcomeState

_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


def passes(error: RHError) -> bool:
    """Whether it provably bought nothing, and is over with time: then the same may be started again."""
    free = not error.maybe_billed and not isinstance(error, SubmitUnknown | SessionError | JobError)
    return free and error.blame == "transient"


def ending_of(error: RHError) -> OutcomeState:
    """What became of a job that has no result."""
    if passes(error) or (isinstance(error, JobCancelled) and not error.maybe_billed):
        return "skipped"
    if isinstance(error, JobError):
        return "failed"
    if error.blame == "account" and error.phase == "query" and not error.maybe_billed:
        return "skipped"  # the key was refused over another job
    if error.maybe_billed or isinstance(error, SubmitUnknown):
        return "unconfirmed"
    return "skipped" if isinstance(error, JournalError | SessionError) else "rejected"


def kind_of(error: RHError) -> str:
    """The kind of trouble, in a few words; the server's code tells kinds apart."""
    busy = isinstance(error, JobError) and error.may_resubmit
    words = "server busy" if busy else _WORD.sub(" ", type(error).__name__).lower()
    return f"{words} ({error.code})" if error.code else words
