"""Estimates how long a batch will still take, from the run times of earlier jobs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt

from rh_async._batch.session_port import RunTimeSummary

_DECILES = 2.56
"""Standard deviations between the first and the last decile of a normal distribution."""


def time_left(
    waiting: Mapping[str, int], etas: Iterable[float | None], run_times: Mapping[str, RunTimeSummary], limit: int
) -> tuple[float, float, float] | None:
    """Return the seconds until all jobs have ended, as (low, middle, high); None where a run time is unknown.

    The remaining work is each waiting job's median and each running job's own estimate. Divided by the limit it is the
    middle, which is no less than the longest single job. The spread is that of a sum: it grows with the square root of
    the number of jobs, and with the number itself as far as the median was learnt from few jobs.

    :param waiting: the number of jobs that are not in flight, by model.
    :param etas: the estimated seconds left of each job in flight.
    :param limit: how many may be in flight.
    """
    known = {model: (run_times[model], count) for model, count in waiting.items() if count and model in run_times}
    unknown = sum(waiting.values()) - sum(count for _, count in known.values())
    running = [eta for eta in etas if eta is not None]
    if unknown or not (known or running):
        return None
    work = sum(times.median * count for times, count in known.values()) + sum(running)
    begun = len(running) * max((_deviation(times) for times in run_times.values()), default=0.0) ** 2
    deviation = sqrt(begun + sum(_variance(times, count) for times, count in known.values())) / max(limit, 1)
    longest = max([*running, *(times.median for times, _ in known.values())])
    middle = max(work / max(limit, 1), longest)
    spread = _DECILES / 2 * deviation
    return max(0.0, middle - spread), middle, middle + spread + _tail(run_times.values())


def _deviation(times: RunTimeSummary) -> float:
    return (times.high - times.low) / _DECILES


def _variance(times: RunTimeSummary, count: int) -> float:
    return _deviation(times) ** 2 * (count + count**2 / (times.samples + 1))


def _tail(known: Iterable[RunTimeSummary]) -> float:
    """Return what the last job may take beyond its median: it may be one of the longest tenth."""
    return max((times.high - times.median for times in known), default=0.0)
