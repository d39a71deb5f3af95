"""What the journal can say about one job, and which move may follow which: a move not in the table is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from json import dumps, loads
from pathlib import Path
from typing import Any

from attrs import field, frozen

from rh_async.types import TaskId

_DERIVED = re.compile(r"auto-[0-9a-f]{32}")


class SubmissionState(StrEnum):
    """Where a submission stands."""

    CLAIMED = "claimed"  #: somebody means to submit it; nothing has been sent
    SUBMITTING = "submitting"  #: a POST may be on its way
    SUBMITTED = "submitted"  #: the server has accepted it; the task id is known
    SETTLED = "settled"  #: the server has told its end
    LOST = "lost"  #: the server did not know it any more when it was last asked, which it may have got wrong
    SAVED = "saved"  #: its outputs are on disk
    REFUSED = "refused"  #: the server would not have it; nothing was bought
    UNCERTAIN = "uncertain"  #: nobody knows whether it was accepted
    ABANDONED = "abandoned"  #: the caller gave an uncertain one up


TRANSITIONS: Mapping[SubmissionState, frozenset[SubmissionState]] = {
    SubmissionState.CLAIMED: frozenset({SubmissionState.SUBMITTING}),
    SubmissionState.SUBMITTING: frozenset(
        {SubmissionState.CLAIMED, SubmissionState.SUBMITTED, SubmissionState.REFUSED, SubmissionState.UNCERTAIN}
    ),
    SubmissionState.UNCERTAIN: frozenset({SubmissionState.SUBMITTED, SubmissionState.ABANDONED}),
    SubmissionState.SUBMITTED: frozenset({SubmissionState.SETTLED, SubmissionState.LOST}),
    SubmissionState.LOST: frozenset({SubmissionState.SUBMITTED}),
    SubmissionState.SETTLED: frozenset({SubmissionState.SAVED}),
    SubmissionState.SAVED: frozenset(),
    SubmissionState.REFUSED: frozenset(),
    SubmissionState.ABANDONED: frozenset(),
}
"""The whole life of an attempt. It begins as claimed, and a dead owner's claimed is free for another to claim."""

REUSABLE_STATES = frozenset({SubmissionState.REFUSED, SubmissionState.ABANDONED})
"""After these nothing was bought, or its buyer gave it up: the same key may be submitted again as the next attempt."""


@frozen(kw_only=True)
class SubmissionRecord:
    """One attempt to buy one job, as the journal has it.

    :param key: the caller's name for the submission, or one derived from what it asks for.
    :param owner: the session that carries it.
    :param endpoint: of the model; "" for an adopted task.
    :param inputs: what was asked for, as JSON, for a person to recognise it.
    :param contents: the same by content, as `_contents.contents_of` makes it; "" where nobody wrote it down.
    :param webhook_token: travels in the webhook's address, so that a delivery can name the attempt.
    :param foreign: whether it was made under another API key.
    :param status: the server's last word while it runs; "" before the first.
    :param raw: the server's last answer.
    :param error: why it ended without a result, as (class name, code, message).
    :param output_dir: where its outputs are wanted; None if nobody said.
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

    :param key: his name for it; None for one derived from what it asks for, where there is a journal.
    :param resubmit: whether it is to be bought once more, knowingly.
    :param after: the attempt that is known to him: if another followed meanwhile, that is the one. None for whichever.
    :param output_dir: where its outputs are wanted.
    """

    key: str | None = None
    resubmit: bool = False
    after: int | None = None
    output_dir: Path | None = None


def stored_folder(folder: str | None) -> str | None:
    """A folder as text that a database takes: a name that is not UTF-8 as JSON, which no absolute path looks like."""
    try:
        (folder or "").encode()
    except UnicodeEncodeError:
        return dumps(folder)
    return folder


def read_folder(stored: str | None) -> str | None:
    """The folder that was stored so."""
    return str(loads(stored)) if stored is not None and stored.startswith('"') else stored


def may_move(now: SubmissionState, to: SubmissionState) -> bool:
    """Whether the table has this move."""
    return to in TRANSITIONS[now]


def is_derived(key: str) -> bool:
    """Whether a key was made from what its submission asks for."""
    return _DERIVED.fullmatch(key) is not None


def derived_key(endpoint: str, parameters: Mapping[str, Any]) -> str:
    """The key of a submission that was given none: the same inputs to the same model are the same submission.

    :param parameters: with local files as their content's hash. Links count by their text: a signed one differs each
        time, so whoever uses those should pass a key of his own.
    """
    text = dumps({"endpoint": endpoint, "parameters": parameters}, sort_keys=True, separators=(",", ":"))
    return f"auto-{sha256(text.encode()).hexdigest()[:32]}"
