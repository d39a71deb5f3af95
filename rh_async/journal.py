"""What the journal says of earlier submissions: its records, their states, and coming back to them."""

from ._journal.records import SubmissionRecord, SubmissionState
from ._submission.recovery import Recovery, ResumeReport

__all__ = ["Recovery", "ResumeReport", "SubmissionRecord", "SubmissionState"]
