"""Batches: planning (what would be submitted, and what is wrong with it), then running, with costs, outputs, progress.

The modules that run a plan reach the session through `running.session_port.SessionPort` alone. The public names are in
`rh_async.batch`.
"""

from rh_async._media.media_info import MediaInfo
from rh_async._media.probe import probe
from rh_async._media.prober import Prober
from rh_async.issues import InvalidMediaFile, Issue
from rh_async.models.prices import Price

from .costs.budget import Cost
from .costs.estimate import Estimate
from .manifest.manifest_plan import plan_manifest
from .outputs.output_naming import NameFields, OutputNaming
from .planning.folder_plan import RequestFactory, plan_folder
from .planning.pairing import Pairing
from .planning.plan import Entry, IssueGroup, Plan
from .planning.request_check import check_request
from .progress.progress_snapshot import BatchProgress, ErrorGroup, RunningJob
from .running.batch_outcome import BatchOutcome
from .running.batch_runner import Batch

__all__ = [
    "Batch",
    "BatchOutcome",
    "BatchProgress",
    "Cost",
    "Entry",
    "ErrorGroup",
    "Estimate",
    "InvalidMediaFile",
    "Issue",
    "IssueGroup",
    "MediaInfo",
    "NameFields",
    "OutputNaming",
    "Pairing",
    "Plan",
    "Price",
    "Prober",
    "RequestFactory",
    "RunningJob",
    "check_request",
    "plan_folder",
    "plan_manifest",
    "probe",
]
