"""An asyncio client for RunningHub's motion-transfer models: many paid jobs at once, none bought twice.

The front door: names only. Behind it the floors, each looking down and never up or sideways::

    __main__ · _cli                                                  words in, words out
    _session                                                         what a caller can ask
    _batch                                                           a folder of clips: planned, priced, run
    _services · _map                                                 one lifetime; many requests in, outcomes out
    _submissions · _recovery                                         upload → slot → POST → record; coming back
    _memory · _account                                               bought once; what the account says, cancelling
    _spool                                                           files made of media that is none
    _uploads · _downloads · _poller · _resumed                       services; what coming back brings
    _job_log                                                         a job's life, for the log
    _transport · _job · _journal                                     the only wires to the outside
    _download_stream                                                 one attempt at an output
    _outside · _group_commit                                         the outside's links; many changes in one commit
    _protocol · _file_body · _journal_file · _network_errors         what to send, what an answer means; SQLite's file
    _call_queue · _tasks · _deadline · _proxies                      whose turn it is; what runs, how long; by what way
    _files · _flight · _observer · _owners · _call_log               opening files, sharing work, telling; who is alive
    _defects                                                         what nobody foresaw
    _agenda · _statistics                                            whom to ask, and when; how it stands
    _watched                                                         what is known of one job
    _hints · _run_times · _contents                                  what counts and the past tell; what is asked for
    _file_structure · _extensions                                    whether a file is all there; what it is called
    _audio_structure                                                 the same of audio
    _records · _codes · _admission · _hunt · _kinds · _pace          pure: no I/O, no clock
    · motion · _sniff · _duration · _links · _addresses
    _media_bytes · _download_policy                                  a file's bytes by place; what a download may be
    _rate_gate                                                       how fast calls may leave, as far as was learnt
    _wire · _request · events                                        shapes
    _media                                                           media that is no file yet
    _reasons                                                         why a job failed, out of two loose fields
    errors on _types · _clean                                        nouns; text that a terminal may show
    emulator                                                         stands apart, knows nothing of the rest
"""

import sys
import typing

from ._codes import CHINA_SITE, GLOBAL_SITE
from ._download_policy import DownloadPolicy
from ._job import Job
from ._map import Failed, Outcome, Outcomes, Succeeded
from ._media import Media
from ._pace import Pace
from ._records import Record, State
from ._request import ModelRequest, Request
from ._resumed import Resumed
from ._session import Session
from ._statistics import RunTime, Statistics
from ._transport import Retry, Timeouts
from ._types import Account, Output, Result, Snapshot, TaskId, Upload, Usage
from .errors import (
    ApiError,
    AtCapacity,
    AuthenticationFailed,
    BalanceExhausted,
    BudgetReached,
    ConfigurationError,
    ContentRefused,
    InvalidRequest,
    JobCancelled,
    JobError,
    JobFailed,
    JobLost,
    JournalError,
    KeyInUse,
    LocalRefusal,
    MediaRefused,
    ModelUnavailable,
    NeverArrived,
    NoAnswer,
    NotFound,
    OutOfResources,
    OutputRefused,
    RateLimited,
    RequestRefused,
    RHError,
    SaveError,
    ServerFault,
    SessionError,
    SubmitUnknown,
    TransportError,
    UnexpectedError,
    UnreadableAnswer,
)
from .motion import CharacterMotionTransfer, DreamActor, KlingMotionControl

__docformat__ = "restructuredtext"  # pdoc renders ``:param`` by it

# Besides type checkers, pdoc: it reads the namespace of the module and never calls __getattr__ below.
if typing.TYPE_CHECKING or "pdoc" in sys.modules:
    from ._batch import Batch, BatchOutcome, Cost, Estimate, Finding, Names, Plan, Standing, plan_folder, plan_manifest

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
    "ContentRefused",
    "Cost",
    "DownloadPolicy",
    "DreamActor",
    "Estimate",
    "Failed",
    "Finding",
    "InvalidRequest",
    "Job",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobLost",
    "JournalError",
    "KeyInUse",
    "KlingMotionControl",
    "LocalRefusal",
    "Media",
    "MediaRefused",
    "ModelRequest",
    "ModelUnavailable",
    "Names",
    "NeverArrived",
    "NoAnswer",
    "NotFound",
    "OutOfResources",
    "Outcome",
    "Outcomes",
    "Output",
    "OutputRefused",
    "Pace",
    "Plan",
    "RHError",
    "RateLimited",
    "Record",
    "Request",
    "RequestRefused",
    "Result",
    "Resumed",
    "Retry",
    "RunTime",
    "SaveError",
    "ServerFault",
    "Session",
    "SessionError",
    "Snapshot",
    "Standing",
    "State",
    "Statistics",
    "SubmitUnknown",
    "Succeeded",
    "TaskId",
    "Timeouts",
    "TransportError",
    "UnexpectedError",
    "UnreadableAnswer",
    "Upload",
    "Usage",
    "plan_folder",
    "plan_manifest",
]

_OF_THE_BATCH = frozenset(
    {
        "Batch",
        "BatchOutcome",
        "Cost",
        "Estimate",
        "Finding",
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
