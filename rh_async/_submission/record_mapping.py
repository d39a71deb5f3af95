"""Turns a record of the journal into what a caller gets (result, error, status), and a request or error into a record.

Pure but for the token that each new claim gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from attrs import evolve, frozen

from rh_async import errors
from rh_async._api.task_family import family_of
from rh_async._api.wire import ApiResponse
from rh_async._job_updates import apply_snapshot, assign_task, outcome_of, set_outcome
from rh_async._journal.records import REUSABLE_STATES, SubmissionRecord, SubmissionState, SubmitOptions
from rh_async.errors import STORED_NAMES, JobError, JobLost, KeyConflict, RHError, SubmitUnknown
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.types import Result, Snapshot

from .input_comparison import check_same_inputs, new_record

_CONFIRM_OR_DISCARD = (
    " Say what became of it with recovery.confirm or recovery.discard, or pay again knowingly with resubmit=True."
)


@frozen(kw_only=True)
class PriorAttempt:
    """What is known of a submission before it is made.

    :param sha256s: of its local files.
    :param record: its last attempt; None if there is none, or no journal.
    :param outcome: how that ended: a result, the job's error, the rejection, or `SubmitUnknown`. None while it runs.
    :param conflict: the error if its key was given to a request with other inputs; None if it was not.
    """

    key: str
    sha256s: Mapping[Path, str]
    record: SubmissionRecord | None = None
    outcome: Result | RHError | None = None
    conflict: KeyConflict | None = None

    @property
    def was_submitted(self) -> bool:
        """Whether the last attempt may have reached the server: only then may it have been billed."""
        not_sent = REUSABLE_STATES | {SubmissionState.CLAIMED}
        return self.record is not None and self.record.state not in not_sent


# --- into a record ---------------------------------------------------------------------------------------------------


def new_claim(key: str, request: Request, options: SubmitOptions, sha256s: Mapping[Path, str]) -> SubmissionRecord:
    """Return the record of a submission that is about to be claimed, with a webhook token of its own."""
    folder = None if options.output_dir is None else str(options.output_dir.absolute())
    return evolve(new_record(key, request, sha256s), webhook_token=uuid4().hex, folder=folder)


def stored_error(error: RHError) -> tuple[str, str, str]:
    """Return an error as a record keeps it: class name, code, message."""
    return type(error).__name__, error.code, error.message


# --- out of a record -------------------------------------------------------------------------------------------------


def prior_attempt(
    key: str,
    request: Request,
    sha256s: Mapping[Path, str],
    record: SubmissionRecord | None,
    currency: str | None,
) -> PriorAttempt:
    """Return what a key's last attempt means for a request that is about to be submitted under the key."""
    if record is None:
        return PriorAttempt(key=key, sha256s=sha256s)
    return PriorAttempt(
        key=key,
        sha256s=sha256s,
        record=record,
        outcome=_known_outcome(record, currency),
        conflict=_conflict(record, new_record(key, request, sha256s)),
    )


def _conflict(known: SubmissionRecord, asked: SubmissionRecord) -> KeyConflict | None:
    try:
        check_same_inputs(known, asked)
    except KeyConflict as error:
        return error
    return None


def _known_outcome(record: SubmissionRecord, currency: str | None) -> Result | RHError | None:
    match record.state:
        case SubmissionState.UNCERTAIN:
            return unconfirmed_error(record)
        case SubmissionState.REFUSED:
            return rejection_error(record)
        case SubmissionState.SETTLED | SubmissionState.SAVED | SubmissionState.LOST:
            return settled_outcome(record, currency)
        case _:
            return None


def settled_outcome(record: SubmissionRecord, currency: str | None) -> Result | RHError:
    """Return how a settled or lost task ended; a result stays readable after its links have expired."""
    if record.error is not None:
        return _job_error(record)
    job = Job(request=None, key=record.key, task_id=record.task_id)
    job.submitted_utc = parse_time(record.submitted_utc)
    noticed = datetime.fromisoformat(record.noticed_utc or record.claimed_utc)
    return outcome_of(job, _snapshot(record, currency), noticed_utc=noticed)


def settle_from_record(job: Job, record: SubmissionRecord, currency: str | None) -> None:
    """Settle a job with the outcome that its record has, without asking the server."""
    job.key = record.key
    if record.task_id is not None:
        assign_task(job, record.task_id, parse_time(record.submitted_utc))
    if record.raw:
        apply_snapshot(job, _snapshot(record, currency))
    set_outcome(job, settled_outcome(record, currency))


def show_progress(job: Job, record: SubmissionRecord) -> None:
    """Show on a job that waits for another session's what that session has written down."""
    if record.state is SubmissionState.SUBMITTED and record.task_id is not None:
        if job.task_id is None:
            assign_task(job, record.task_id, parse_time(record.submitted_utc))
        if record.status:
            apply_snapshot(job, Snapshot(task_id=record.task_id, status=record.status))


def unconfirmed_error(record: SubmissionRecord) -> SubmitUnknown:
    """Return the error of a submission that may or may not have been bought."""
    message = f"the submit of {record.claimed_utc} to {record.endpoint} was never answered"
    error = SubmitUnknown(message, phase="submit", key=record.key, task_id=record.task_id)
    error.advice += _CONFIRM_OR_DISCARD
    return error


def rejection_error(record: SubmissionRecord) -> RHError:
    """Return the error with which the server, or a check before sending, rejected a submission."""
    name, code, message = record.error or ("ApiError", "", "it was refused")
    kind = _class_named(name, errors.ApiError, errors.ValidationError)
    return (kind or errors.ApiError)(message, phase="submit", code=code, key=record.key)


def _job_error(record: SubmissionRecord) -> RHError:
    name, code, message = record.error or ("JobLost", "", "")
    kind = _class_named(name, JobError)
    return (kind or JobLost)(message, task_id=record.task_id, code=code)


def _class_named(name: str, *bases: type[RHError]) -> type[RHError] | None:
    """Return the error class that was stored by this name, today's or an earlier one; None if it is none of these."""
    kind = getattr(errors, STORED_NAMES.get(name, name), None)
    return kind if isinstance(kind, type) and issubclass(kind, bases) else None


def parse_time(utc: str | None) -> datetime | None:
    """Return a moment that a record has as text."""
    return None if utc is None else datetime.fromisoformat(utc)


def run_time_of(record: SubmissionRecord) -> float:
    """Return the seconds from a task's acceptance to the moment when its end was noticed."""
    noticed, submitted = (datetime.fromisoformat(at or "") for at in (record.noticed_utc, record.submitted_utc))
    return (noticed - submitted).total_seconds()


def _snapshot(record: SubmissionRecord, currency: str | None) -> Snapshot:
    assert record.task_id is not None  # noqa: S101 - a settled record has one
    response = ApiResponse(status=200, body=record.raw)
    return family_of(record.endpoint).decode_query(response, record.task_id, currency=currency)
