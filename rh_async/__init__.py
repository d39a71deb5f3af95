"""An asyncio client for RunningHub's motion-transfer models: many paid jobs at once, none bought twice.

This module holds the names that most programs need; the others are in `rh_async.errors`, `rh_async.events`,
`rh_async.batch` and `rh_async.journal`. The layers below it; each imports only from the layers under it::

    __main__         Starts the command line, or says how to install it
    _cli             The command line: commands, options, output; the only package that prints and exits
    client           The session: what a program calls to submit, attach, save, and ask about the account
    _client          What the session is made of: its lifetime, and the options of its calls
    batch            The public names for many jobs; ``Batch``, ``plan_folder`` and ``plan_manifest`` are also here
    _batch           Many jobs: plan and check them, estimate their cost, run them, and name what they make
    _runtime         One open session: opens its services, settles its jobs, and closes everything in order
    journal          Public names of the journal: its records, their states, and coming back to submissions
    _submission      One paid submit: claim the key, upload, wait for a slot, POST, record; and recovery afterwards
    _polling         When to ask for a task's status: the schedule, its budget, run-time estimates, the poll workers
    _job_updates     Changes a job's handle: its task, its snapshots, its outcome
    _transfer        Files up and down: uploads cached by content, outputs written to disk and verified
    job              The handle of one job: await it, read its status, cancel it
    _http            The only aiohttp client: connection pools, retries, the shared rate limit, links outside the API
    _journal         Durable state: one record per submission, in SQLite, shared by processes through lease files
    models           Request classes, the catalogue of models, and list prices
    _media           Local media files: their type, structure, duration and pixels, read before anything is sent
    _api             The protocol, without I/O: encodes calls, and decodes what the server answered
    _concurrency     Building blocks for asyncio: single flight, the session's task group, deadlines, defects
    events           What happens in a session, as frozen values for its ``on_event`` callback
    issues           One problem of an input: the subject, the message, the hint
    errors           Every error class, as one tree
    _job_errors      The errors of a job that was accepted
    _error_base      The root of the error classes: what each error carries
    _printable       Cleans text from servers and file names, so that logs and terminals get one harmless line
    types            Frozen values that every layer uses
    emulator         A local RunningHub for tests; imports nothing of the client
"""

import importlib
import sys
import typing
from types import MappingProxyType as _MappingProxyType

from ._api.error_codes import CHINA_SITE, GLOBAL_SITE
from ._http.transport import RetryPolicy, Timeouts
from ._polling.policy import PollingPolicy
from ._transfer.download_policy import DownloadPolicy
from .client import Session, run
from .errors import (
    ApiError,
    JobError,
    JournalError,
    RHError,
    SaveError,
    SubmitUnknown,
    TransportError,
    ValidationError,
)
from .job import Job
from .models.base import ModelRequest, Request
from .models.bytedance import DreamActor
from .models.kling import KlingMotionControl
from .models.media_input import Media
from .models.wan import CharacterMotionTransfer
from .types import Account, Output, Result, Snapshot, TaskId, Upload, Usage

__docformat__ = "restructuredtext"  # pdoc renders ``:param`` by it

# Besides type checkers, pdoc: it reads the namespace of the module and never calls __getattr__ below.
if typing.TYPE_CHECKING or "pdoc" in sys.modules:
    from ._runtime.bulk_runner import Failed, Outcome, Succeeded
    from ._runtime.statistics import Statistics
    from .batch import Batch, plan_folder, plan_manifest

__all__ = [
    "CHINA_SITE",
    "GLOBAL_SITE",
    "Account",
    "ApiError",
    "Batch",
    "CharacterMotionTransfer",
    "DownloadPolicy",
    "DreamActor",
    "Failed",
    "Job",
    "JobError",
    "JournalError",
    "KlingMotionControl",
    "Media",
    "ModelRequest",
    "Outcome",
    "Output",
    "PollingPolicy",
    "RHError",
    "Request",
    "Result",
    "RetryPolicy",
    "SaveError",
    "Session",
    "Snapshot",
    "Statistics",
    "SubmitUnknown",
    "Succeeded",
    "TaskId",
    "Timeouts",
    "TransportError",
    "Upload",
    "Usage",
    "ValidationError",
    "plan_folder",
    "plan_manifest",
    "run",
]

_LAZY_NAMES = _MappingProxyType(
    {
        "Batch": ".batch",
        "Failed": "._runtime.bulk_runner",
        "Outcome": "._runtime.bulk_runner",
        "Statistics": "._runtime.statistics",
        "Succeeded": "._runtime.bulk_runner",
        "plan_folder": ".batch",
        "plan_manifest": ".batch",
    }
)
"""The module of each name that is loaded when it is named, or when a session opens: `import rh_async` stays cheap."""

_LAZY_MODULES = frozenset({"batch", "events"})


def __getattr__(name: str) -> object:
    # Not ``from . import batch``: that asks this function for the name first, and would never return.
    if name in _LAZY_MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _LAZY_NAMES:
        return getattr(importlib.import_module(_LAZY_NAMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
