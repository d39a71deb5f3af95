"""Many jobs at once: plan a folder or a manifest, check the plan, then run it with `Session.batch`.

A `Plan` is a value. Making one reads every file once and sends nothing; it holds one `Entry` per job, and every `Issue`
that was found, so that one bad file does not hide the next. Running it gives a `Batch`: iterate over its `BatchOutcome`
values, and read `Batch.progress` at any time.
"""

from ._batch.costs.budget import Cost
from ._batch.costs.estimate import Estimate
from ._batch.manifest.manifest_plan import plan_manifest
from ._batch.outputs.output_naming import NameFields, OutputNaming
from ._batch.planning.folder_plan import RequestFactory, plan_folder
from ._batch.planning.pairing import Pairing
from ._batch.planning.plan import Entry, IssueGroup, Plan
from ._batch.planning.prober import Prober
from ._batch.planning.request_check import check_request
from ._batch.progress.progress_counter import ProgressCounter
from ._batch.progress.progress_snapshot import BatchProgress, ErrorGroup, PhaseProgress, RunningJob
from ._batch.running.batch_runner import Batch
from ._batch.state.batch_outcome import BatchOutcome
from ._media.local_file import LocalFile, LocalFiles
from ._media.media_info import MediaInfo
from ._media.probe import probe
from ._runtime.outcome_stream import OutcomeStream
from ._runtime.statistics import RunTimeSummary
from .issues import InvalidMediaFile, Issue
from .models.prices import Price

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
    "LocalFile",
    "LocalFiles",
    "MediaInfo",
    "NameFields",
    "OutcomeStream",
    "OutputNaming",
    "Pairing",
    "PhaseProgress",
    "Plan",
    "Price",
    "Prober",
    "ProgressCounter",
    "RequestFactory",
    "RunTimeSummary",
    "RunningJob",
    "check_request",
    "plan_folder",
    "plan_manifest",
    "probe",
]
