"""An asyncio client for RunningHub's motion-transfer models: many paid jobs at once, none bought twice.

This module holds the names that most programs need; the others are in `rh_async.errors`, `rh_async.events`,
`rh_async.batch` and `rh_async.journal`.
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
