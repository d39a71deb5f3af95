"""The plan of many jobs: what would be asked for, what is refused and why, what it would cost. Nothing is sent here.

A plan is a value. Making one looks at every file once; every problem of every input is gathered, none stops the rest.
"""

from ._entries import Entry, Plan, Refusal
from ._facts import Facts
from ._findings import Finding, Unfit
from ._folder import Make, plan_folder
from ._manifest import plan_manifest
from ._names import Names, Subject
from ._pairs import Pair
from ._prices import Price
from ._probe import probe
from ._prober import Prober

__all__ = [
    "Entry",
    "Facts",
    "Finding",
    "Make",
    "Names",
    "Pair",
    "Plan",
    "Price",
    "Prober",
    "Refusal",
    "Subject",
    "Unfit",
    "plan_folder",
    "plan_manifest",
    "probe",
]
