"""An asyncio client for RunningHub's motion-transfer models: many paid jobs at once, none bought twice.

The front door: names only. Behind it the floors, each looking down and never up or sideways::

    __main__         The door from the shell: whoever has not installed the command line is told how, in one line
    _cli             Words in, words out, exit codes: the one room that prints, reads the command line and ends the pro
    client           What a caller can ask: submit, start, run, map, watch, upload, save. The only room a caller talks
    _batch           Many jobs: planned first (what would be asked for, what is refused and why, what it would cost), t
    _runtime         One open session: starts its services, connects them, and closes them in order
    _submission      One paid submit, and coming back to it: claim, upload, slot, POST, record, recovery
    _polling         When to ask for a task's status: the schedule, its budget, run-time estimates, and the poll worker
    _transfer        Files up and down: uploads cached by content, outputs written to disk and verified
    job              The handle in the caller's hand: awaitable, watchable, never changed by waiting
    _http            The only aiohttp client: connection pools, retries, the shared rate limit, links outside the API
    _journal         Durable state: one record per submission, in SQLite, shared by processes through lease files
    models           What can be asked for: request classes, the catalogue of models, and list prices
    _media           Local media files: their type, structure, duration and pixels, read before anything is sent
    _api             The protocol, without I/O: builds calls, and decodes what the server answered
    _concurrency     Building blocks for asyncio: shared work, the session's task group, deadlines, unforeseen defects
    events           What happens in a session, as frozen values for its ``on_event`` callback; logging is one such obs
    issues           What is wrong with an input, as one line for a person: the thing, what is wrong with it, what help
    errors           Every way to fail, as one tree. A leaf is chosen by who must act; it carries facts and prints noth
    _printable       Cleans text that a server or a file name brought: logs and terminals get one line of it, and obey
    types            The nouns that travel, frozen. What the server says stays as open as the server: statuses are word
    emulator                                                         stands apart, knows nothing of the rest
"""

import sys
import typing

from ._api.error_codes import CHINA_SITE, GLOBAL_SITE
from ._http.transport import RetryPolicy, Timeouts
from ._journal.records import SubmissionRecord, SubmissionState
from ._polling.policy import PollingPolicy
from ._runtime.outcome_stream import Failed, Outcome, Outcomes, Succeeded
from ._runtime.statistics import RunTime, Statistics
from ._submission.resume_report import ResumeReport
from ._transfer.download_policy import DownloadPolicy
from .client import Session
from .errors import (
    ApiError,
    AtCapacity,
    AuthenticationFailed,
    BalanceExhausted,
    BudgetReached,
    ConfigurationError,
    ContentRejected,
    InvalidMedia,
    InvalidRequestError,
    InvalidResponse,
    JobCancelled,
    JobError,
    JobFailed,
    JobLost,
    JournalError,
    KeyConflict,
    ModelUnavailable,
    NotFound,
    NotSent,
    OutOfResources,
    OutputRefused,
    RateLimited,
    RequestRejected,
    ResponseLost,
    RHError,
    SaveError,
    ServerFault,
    SessionError,
    SubmitUnknown,
    TransportError,
    UnexpectedError,
    ValidationError,
)
from .job import Job
from .models.base import ModelRequest, Request
from .models.media_input import Media
from .models.motion import CharacterMotionTransfer, DreamActor, KlingMotionControl
from .types import Account, Output, Result, Snapshot, TaskId, Upload, Usage

__docformat__ = "restructuredtext"  # pdoc renders ``:param`` by it

# Besides type checkers, pdoc: it reads the namespace of the module and never calls __getattr__ below.
if typing.TYPE_CHECKING or "pdoc" in sys.modules:
    from ._batch import Batch, BatchOutcome, Cost, Estimate, Issue, Names, Plan, Standing, plan_folder, plan_manifest

__all__ = [
    "CHINA_SITE",
    "GLOBAL_SITE",
    "Account",
    "ApiError",
    "AtCapacity",
    "AuthenticationFailed",
    "BalanceExhausted",
    "Batch",
    "BatchOutcome",
    "BudgetReached",
    "CharacterMotionTransfer",
    "ConfigurationError",
    "ContentRejected",
    "Cost",
    "DownloadPolicy",
    "DreamActor",
    "Estimate",
    "Failed",
    "InvalidMedia",
    "InvalidRequestError",
    "InvalidResponse",
    "Issue",
    "Job",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobLost",
    "JournalError",
    "KeyConflict",
    "KlingMotionControl",
    "Media",
    "ModelRequest",
    "ModelUnavailable",
    "Names",
    "NotFound",
    "NotSent",
    "OutOfResources",
    "Outcome",
    "Outcomes",
    "Output",
    "OutputRefused",
    "Plan",
    "PollingPolicy",
    "RHError",
    "RateLimited",
    "Request",
    "RequestRejected",
    "ResponseLost",
    "Result",
    "ResumeReport",
    "RetryPolicy",
    "RunTime",
    "SaveError",
    "ServerFault",
    "Session",
    "SessionError",
    "Snapshot",
    "Standing",
    "Statistics",
    "SubmissionRecord",
    "SubmissionState",
    "SubmitUnknown",
    "Succeeded",
    "TaskId",
    "Timeouts",
    "TransportError",
    "UnexpectedError",
    "Upload",
    "Usage",
    "ValidationError",
    "plan_folder",
    "plan_manifest",
]

_OF_THE_BATCH = frozenset(
    {
        "Batch",
        "BatchOutcome",
        "Cost",
        "Estimate",
        "Issue",
        "Names",
        "Plan",
        "Standing",
        "plan_folder",
        "plan_manifest",
    }
)
"""Loaded when they are named: planning knows manifests and price lists, which whoever submits a job never needs."""


def __getattr__(name: str) -> object:
    if name not in _OF_THE_BATCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _batch  # noqa: PLC0415 - as said above

    return getattr(_batch, name)
