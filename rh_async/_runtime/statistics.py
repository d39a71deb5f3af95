"""What a session can say of itself at one moment, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from rh_async._polling.run_times import RunTimes


@frozen(kw_only=True)
class RunTime:
    """How long jobs of one model take, in seconds, as far as was learnt; a broad guess before the first has ended.

    :param median: half take longer.
    :param low: one in ten takes less.  :param high: one in ten takes more.
    :param ends: how many jobs it was learnt from, of this session and of its journal.
    """

    median: float
    low: float
    high: float
    ends: int

    @classmethod
    def of(cls, times: RunTimes) -> RunTime:
        """Sum a table up."""
        low, median, high = (times.quantile(share) for share in (0.1, 0.5, 0.9))
        return cls(median=median, low=low, high=high, ends=times.ends)


@frozen(kw_only=True)
class Statistics:
    """How a session stands.

    :param waiting: jobs that the server does not have yet.
    :param in_flight: jobs between their acceptance and their end.
    :param limit: how many may be in flight now; where that is learnt, it changes.
    :param settled: jobs that have ended, of those the server had.
    :param questions: how many calls left so far: ``submit``, ``query``, and ``counts`` of the whole account.
    :param lateness: how late ends are noticed on average, in seconds, as far as can be told from here: half of the time
        since the job was last known to run.
    :param lateness_p99: one end in a hundred is noticed later, by the same measure.
    :param run_times: by the model's endpoint.
    :param trust: how far the account's counts are believed, from 0 to 1.
    """

    waiting: int
    in_flight: int
    limit: int
    settled: int
    questions: Mapping[str, int]
    lateness: float
    lateness_p99: float
    run_times: Mapping[str, RunTime] = field(repr=False)
    trust: float


def mean_and_p99(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and what one in a hundred exceeds; zeros where there are none."""
    ranked = sorted(values)
    return (sum(ranked) / len(ranked), ranked[int(0.99 * (len(ranked) - 1))]) if ranked else (0.0, 0.0)
