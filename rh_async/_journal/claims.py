"""Decides who may submit under a key. Pure: no I/O, no clock; told what the journal has and whether its owner is alive.

A submit cannot be repeated safely, so a key is submitted anew only where that is certain to buy nothing twice: nothing
was sent, the server refused, or the caller asked to pay again.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from .records import REUSABLE_STATES, SubmissionRecord, SubmissionState


@frozen(kw_only=True)
class ClaimOptions:
    """How a caller asks for a key.

    :param resubmit: pay for a further attempt, whatever became of the last one.
    :param after: only if the last attempt is this one: if another session submitted one meanwhile, that one is reused.
        None for any.
    :param gone: the lost attempt that the server has just said it does not know; no other lost one is paid for again.
    """

    resubmit: bool = False
    after: int | None = None
    gone: int | None = None


class Refusal(Enum):
    """Why a key cannot be claimed."""

    FOREIGN = "foreign"  #: its last attempt was made under another API key: that account may have paid for it
    UNCONFIRMED = "unconfirmed"  #: its last attempt may have been bought: only the caller may decide to pay again


@frozen
class Insert:
    """Write a new attempt, and submit it.

    :param replaces: whether it takes the place of a claim that its session never submitted.
    """

    attempt: int
    replaces: bool = False


@frozen
class Reuse:
    """Take the last attempt's outcome.

    :param take_over: whether it has none yet and no session polls it, so that this one must.
    """

    take_over: bool = False


@frozen
class Wait:
    """Wait for the running session that has the key in hand."""


@frozen
class Refuse:
    """Submit nothing, and reuse nothing."""

    reason: Refusal


Decision = Insert | Reuse | Wait | Refuse


def is_left_unconfirmed(last: SubmissionRecord | None, *, owner_alive: bool) -> bool:
    """Return whether an attempt's session ended between writing *submitting* and writing what the server answered.

    The POST may have left, so the attempt must be recorded as uncertain before anything is decided about its key.
    """
    return last is not None and not last.foreign and last.state is SubmissionState.SUBMITTING and not owner_alive


def decide(last: SubmissionRecord | None, asked: ClaimOptions, *, owner_alive: bool, own: bool) -> Decision:
    """Decide about a key.

    :param last: its last attempt; None if there is none.
    :param owner_alive: whether the session that wrote it is running.
    :param own: whether that is the session that asks.
    """
    if last is None:
        return Insert(attempt=1)
    if last.foreign and last.state not in REUSABLE_STATES:
        return Refuse(Refusal.FOREIGN)
    if last.state is SubmissionState.CLAIMED:
        # Nothing was sent. A session has one job per key, so its own claim is one that an earlier job gave up.
        return Insert(last.attempt, replaces=True) if own or not owner_alive else Wait()
    if last.state is SubmissionState.SUBMITTING:  # its session is running, or it would be uncertain by now
        return Wait()
    if last.state in REUSABLE_STATES or _pays_again(last, asked):
        return Insert(last.attempt + 1)
    return _unsubmitted(last, owner_alive=owner_alive)


def _pays_again(last: SubmissionRecord, asked: ClaimOptions) -> bool:
    if not asked.resubmit or asked.after not in {None, last.attempt}:
        return False
    # What the server lost may have come back: it is paid for again only after the server denied this very attempt.
    return last.state is not SubmissionState.LOST or last.attempt == asked.gone


def _unsubmitted(last: SubmissionRecord, *, owner_alive: bool) -> Decision:
    if last.state is SubmissionState.UNCERTAIN:
        return Refuse(Refusal.UNCONFIRMED)
    if last.state is SubmissionState.SUBMITTED:
        return Wait() if owner_alive else Reuse(take_over=True)
    return Reuse(take_over=last.state is SubmissionState.LOST)  # no session polls a lost task, alive or not
