"""Many jobs: planned first (what would be asked for, what is refused and why, what it would cost), then run.

A plan is a value. Making one looks at every file once; every problem of every input is gathered, none stops the rest.
A run reaches the session through `Carrier` alone.
"""

from rh_async._media.media_info import Facts
from rh_async._media.probe import probe
from rh_async._media.prober import Prober
from rh_async.issues import Finding, Unfit
from rh_async.models.prices import Price

from ._entries import Entry, Plan, Refusal
from ._estimate import Estimate
from ._folder import Make, plan_folder
from ._manifest import plan_manifest
from ._money import Cost
from ._names import Names, Subject
from ._outcomes import BatchOutcome
from ._pairs import Pair
from ._run import Batch
from ._single import problems_of
from ._standing import Cause, Oldest, Standing

__all__ = [
    "Batch",
    "BatchOutcome",
    "Cause",
    "Cost",
    "Entry",
    "Estimate",
    "Facts",
    "Finding",
    "Make",
    "Names",
    "Oldest",
    "Pair",
    "Plan",
    "Price",
    "Prober",
    "Refusal",
    "Standing",
    "Subject",
    "Unfit",
    "plan_folder",
    "plan_manifest",
    "probe",
    "problems_of",
]
