"""Who may submit under a key: never anew while something may have been bought, unless the caller pays knowingly."""

from __future__ import annotations

from itertools import product

import pytest
from attrs import evolve

from rh_async._journal.claims import ClaimOptions, Insert, Refusal, Refuse, Reuse, Wait, decide, is_left_unconfirmed
from rh_async._journal.records import SubmissionRecord, SubmissionState

S = SubmissionState
LAST = SubmissionRecord(key="clip", attempt=3, state=S.CLAIMED, owner="other", endpoint="a/model")
PLAIN, RESUBMIT = ClaimOptions(), ClaimOptions(resubmit=True)
REPLACED, NEXT = Insert(3, replaces=True), Insert(4)
UNCONFIRMED, FOREIGN = Refuse(Refusal.UNCONFIRMED), Refuse(Refusal.FOREIGN)


def decision(state: SubmissionState, asked: ClaimOptions = PLAIN, *, alive: bool = False, own: bool = False) -> object:
    return decide(evolve(LAST, state=state), asked, owner_alive=alive, own=own)


def test_a_key_without_an_attempt_gets_its_first() -> None:
    assert decide(None, PLAIN, owner_alive=False, own=False) == Insert(1)


@pytest.mark.parametrize(
    ("state", "alive", "plain", "resubmit"),
    [
        (S.CLAIMED, True, Wait(), Wait()),
        (S.CLAIMED, False, REPLACED, REPLACED),
        (S.SUBMITTING, True, Wait(), Wait()),
        (S.SUBMITTED, True, Wait(), NEXT),
        (S.SUBMITTED, False, Reuse(take_over=True), NEXT),
        (S.SETTLED, False, Reuse(), NEXT),
        (S.SAVED, False, Reuse(), NEXT),
        (S.LOST, False, Reuse(take_over=True), Reuse(take_over=True)),
        (S.UNCERTAIN, False, UNCONFIRMED, NEXT),
        (S.REFUSED, False, NEXT, NEXT),
        (S.ABANDONED, False, NEXT, NEXT),
    ],
)
def test_what_becomes_of_a_key_by_its_last_attempt(
    state: SubmissionState, alive: bool, plain: object, resubmit: object
) -> None:
    assert decision(state, alive=alive) == plain
    assert decision(state, RESUBMIT, alive=alive) == resubmit


def test_a_session_takes_its_own_claim_for_its_next_job() -> None:
    assert decision(S.CLAIMED, alive=True, own=True) == REPLACED


@pytest.mark.parametrize("state", [S.SUBMITTED, S.SETTLED, S.SAVED, S.UNCERTAIN])
def test_who_pays_again_after_one_attempt_does_not_pay_for_a_later_one(state: SubmissionState) -> None:
    assert decision(state, ClaimOptions(resubmit=True, after=3)) == NEXT
    assert not isinstance(decision(state, ClaimOptions(resubmit=True, after=2)), Insert)


def test_a_lost_task_is_paid_for_again_only_if_the_server_denied_that_very_attempt() -> None:
    assert decision(S.LOST, ClaimOptions(resubmit=True, gone=3)) == NEXT
    assert decision(S.LOST, ClaimOptions(resubmit=True, gone=2)) == Reuse(take_over=True)
    assert decision(S.LOST, ClaimOptions(gone=3)) == Reuse(take_over=True)


@pytest.mark.parametrize(("state", "asked", "alive"), list(product(S, [PLAIN, RESUBMIT], [False, True])))
def test_another_api_keys_attempt_is_refused_unless_nothing_was_bought_by_it(
    state: SubmissionState, asked: ClaimOptions, alive: bool
) -> None:
    foreign = evolve(LAST, state=state, foreign=True)
    expected = NEXT if state in {S.REFUSED, S.ABANDONED} else FOREIGN
    assert decide(foreign, asked, owner_alive=alive, own=False) == expected
    assert not is_left_unconfirmed(foreign, owner_alive=alive)


@pytest.mark.parametrize(("state", "alive"), list(product(S, [False, True])))
def test_only_a_post_whose_session_ended_is_left_unconfirmed(state: SubmissionState, alive: bool) -> None:
    record = evolve(LAST, state=state)
    assert is_left_unconfirmed(record, owner_alive=alive) == (state is S.SUBMITTING and not alive)
