"""The state of a session at one moment, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from rh_async._polling.survival_table import SurvivalTable


@frozen(kw_only=True)
class RunTimeSummary:
    """How long jobs of one model run, in seconds, as learnt so far; a broad guess before the first has settled.

    :param median: half run longer.
    :param low: one in ten runs shorter.  :param high: one in ten runs longer.
    :param samples: how many jobs it was learnt from, of this session and of its journal.
    """

    median: float
    low: float
    high: float
    samples: int

    @classmethod
    def of(cls, times: SurvivalTable) -> RunTimeSummary:
        """Summarise a survival table."""
        low, median, high = (times.quantile(share) for share in (0.1, 0.5, 0.9))
        return cls(median=median, low=low, high=high, samples=times.samples)


@frozen(kw_only=True)
class Statistics:
    """The state of a session.

    :param waiting: jobs that the server does not have yet.
    :param in_flight: jobs between their acceptance and their end.
    :param limit: how many may be in flight now; it changes where the session learns it.
    :param settled: jobs that the server has accepted and settled.
    :param requests: how many requests were sent so far, by kind: ``submit``, ``query``, ``queue_status``.
    :param detection_latency: mean delay between a job's end and its detection, in seconds: estimated as half of the
        time since the job was last known to run.
    :param detection_latency_p99: its 99th percentile.
    :param run_times: by the model's endpoint.
    :param counter_confidence: how far the account's queue counters are believed, from 0 to 1.
    """

    waiting: int
    in_flight: int
    limit: int
    settled: int
    requests: Mapping[str, int]
    detection_latency: float
    detection_latency_p99: float
    run_times: Mapping[str, RunTimeSummary] = field(repr=False)
    counter_confidence: float


def mean_and_p99(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the 99th percentile; zeros if there are no values."""
    ranked = sorted(values)
    return (sum(ranked) / len(ranked), ranked[int(0.99 * (len(ranked) - 1))]) if ranked else (0.0, 0.0)
