"""What the journal can say about one submission, and which transitions there are: any other is refused."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from json import dumps, loads
from pathlib import Path

from attrs import field, frozen

from rh_async.types import TaskId


class SubmissionState(StrEnum):
    """How far a submission has come."""

    CLAIMED = "claimed"  #: a session is about to submit it; nothing has been sent
    SUBMITTING = "submitting"  #: its POST may have left
    SUBMITTED = "submitted"  #: the server has accepted it; the task id is known
    SETTLED = "settled"  #: the server has reported its end
    LOST = "lost"  #: the server did not know the task when it was last asked, and may know it again
    SAVED = "saved"  #: its outputs are on disk
    REFUSED = "refused"  #: the server refused it; nothing was bought
    UNCERTAIN = "uncertain"  #: it may or may not have been accepted; only the caller can find out
    ABANDONED = "abandoned"  #: it was uncertain, and the caller discarded it


_S = SubmissionState

TRANSITIONS: Mapping[SubmissionState, frozenset[SubmissionState]] = {
    _S.CLAIMED: frozenset({_S.SUBMITTING}),
    _S.SUBMITTING: frozenset({_S.CLAIMED, _S.SUBMITTED, _S.REFUSED, _S.UNCERTAIN}),
    _S.UNCERTAIN: frozenset({_S.SUBMITTED, _S.ABANDONED}),
    _S.SUBMITTED: frozenset({_S.SETTLED, _S.LOST}),
    _S.LOST: frozenset({_S.SUBMITTED}),
    _S.SETTLED: frozenset({_S.SAVED}),
    _S.SAVED: frozenset(),
    _S.REFUSED: frozenset(),
    _S.ABANDONED: frozenset(),
}
"""The whole life of an attempt, which begins as claimed. An ended session's claim is replaced by the next one."""

REUSABLE_STATES = frozenset({_S.REFUSED, _S.ABANDONED})
"""After these nothing was bought, or its buyer gave it up: the same key may be submitted again as the next attempt."""

ACTIVE_STATES = frozenset({_S.CLAIMED, _S.SUBMITTING, _S.SUBMITTED})
"""In these a session has the attempt in hand, as long as it runs. In any other it has no session."""


@frozen(kw_only=True)
class SubmissionRecord:
    """One attempt to buy one job, as the journal has it.

    :param key: the caller's name for the submission, or one derived from its inputs.
    :param owner: the session that has it in hand, or had.
    :param endpoint: of the model; "" for a task that was adopted without its request.
    :param inputs: what was asked for, as JSON, for a person to recognise it.
    :param contents: the same by content, as `input_comparison.contents_of` makes it; "" where it was not written down.
    :param webhook_token: travels in the webhook's address, so that a delivery can name the attempt.
    :param foreign: whether it was made under another API key.
    :param status: the server's last word while it runs; "" before the first.
    :param raw: the server's last answer.
    :param error: why it ended without a result, as (class name, code, message).
    :param folder: where its outputs are wanted; None if its submission named no folder.
    :param driving: seconds of its driving video, where known.
    """

    key: str
    attempt: int
    state: SubmissionState
    owner: str
    endpoint: str
    inputs: str = field(default="{}", repr=False)
    contents: str = field(default="", repr=False)
    webhook_token: str = ""
    foreign: bool = False
    task_id: TaskId | None = None
    claimed_utc: str = ""
    submitted_utc: str | None = None
    noticed_utc: str | None = None
    status: str = ""
    raw: bytes = field(default=b"", repr=False)
    error: tuple[str, str, str] | None = None
    folder: str | None = None
    paths: tuple[str, ...] = ()
    driving: float | None = None


@frozen(kw_only=True)
class SubmitOptions:
    """How a caller wants a submission to be remembered.

    :param key: the caller's name for it; None for one derived from its inputs, where there is a journal.
    :param resubmit: whether to pay for it once more, knowingly.
    :param after: the last attempt that the caller knows of: if there is a later one, that is reused. None for any.
    :param output_dir: where its outputs are wanted.
    :param webhook_url: where the server announces the end of the task, if the request names no address.
    """

    key: str | None = None
    resubmit: bool = False
    after: int | None = None
    output_dir: Path | None = None
    webhook_url: str | None = None


def stored_folder(folder: str | None) -> str | None:
    """Return a folder as text that a database takes: a name that is no UTF-8 as JSON, unlike any absolute path."""
    try:
        (folder or "").encode()
    except UnicodeEncodeError:
        return dumps(folder)
    return folder


def read_folder(stored: str | None) -> str | None:
    """Return the folder that `stored_folder` made the text of."""
    return str(loads(stored)) if stored is not None and stored.startswith('"') else stored


def may_transition(now: SubmissionState, to: SubmissionState) -> bool:
    """Return whether the table has this transition."""
    return to in TRANSITIONS[now]
