"""Errors that earlier versions stored by their names of then are read into the classes of today."""

from __future__ import annotations

import pytest
from attrs import evolve

from rh_async import errors
from rh_async._submission.record_mapping import rejection_error, settled_outcome
from rh_async.errors import STORED_NAMES
from rh_async.journal import SubmissionRecord, SubmissionState

REFUSED = SubmissionRecord(key="clip", attempt=1, state=SubmissionState.REFUSED, owner="o", endpoint="a/model")


@pytest.mark.parametrize(
    ("stored", "today"),
    [
        ("ContentRefused", errors.ContentRejected),
        ("InvalidRequest", errors.RequestRejected),
        ("KeyInUse", errors.KeyConflict),
        ("LocalRefusal", errors.ValidationError),
        ("MediaRefused", errors.InvalidMedia),
        ("RequestRefused", errors.InvalidRequestError),
        ("BalanceExhausted", errors.BalanceExhausted),
        ("ContentRejected", errors.ContentRejected),
    ],
)
def test_a_stored_rejection_has_its_class_of_today(stored: str, today: type[errors.RHError]) -> None:
    error = rejection_error(evolve(REFUSED, error=(stored, "7", "no")))
    assert (type(error), error.code, error.message, error.key) == (today, "7", "no", "clip")


@pytest.mark.parametrize("stored", ["NeverArrived", "NoAnswer", "UnreadableAnswer", "NoSuchError", "STORED_NAMES"])
def test_a_stored_name_that_no_server_rejects_with_is_read_as_an_answer_of_the_api(stored: str) -> None:
    assert type(rejection_error(evolve(REFUSED, error=(stored, "", "no")))) is errors.ApiError


@pytest.mark.parametrize("name", ["JobFailed", "JobLost", "JobCancelled"])
def test_a_stored_end_has_its_class(name: str) -> None:
    settled = evolve(REFUSED, state=SubmissionState.SETTLED, error=(name, "1", "no"))
    outcome = settled_outcome(settled, None)
    assert (type(outcome), isinstance(outcome, errors.JobError)) == (getattr(errors, name), True)


def test_every_stored_name_leads_to_an_error_class_of_today() -> None:
    assert all(issubclass(getattr(errors, today), errors.RHError) for today in STORED_NAMES.values())
    assert not any(hasattr(errors, stored) for stored in STORED_NAMES)
