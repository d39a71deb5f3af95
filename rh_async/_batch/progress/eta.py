"""How long a batch will still take, from what was learnt of run times. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt

from rh_async._batch.running.session_port import RunTimeSummary

_DECILES = 2.56
"""How many standard deviations lie between the first and the last of ten, where values are spread as usual."""


def time_left(
    waiting: Mapping[str, int], etas: Iterable[float | None], run_times: Mapping[str, RunTimeSummary], limit: int
) -> tuple[float, float, float] | None:
    """Seconds until all is done, as (low, middle, high); None where nothing is known of run times.

    The work that is left, each waiting job's median and each running job's own expectation, is divided by the limit; it
    takes no less than the longest of them. The spread is that of a sum: it grows with the root of the number of jobs,
    and with their number itself as far as the median was learnt from few.

    :param waiting: jobs that have not begun, by model.  :param etas: of those in flight.
    :param limit: how many may be in flight.
    """
    known = {model: (run_times[model], count) for model, count in waiting.items() if count and model in run_times}
    unknown = sum(waiting.values()) - sum(count for _, count in known.values())
    running = [eta for eta in etas if eta is not None]
    if unknown or not (known or running):
        return None
    work = sum(times.median * count for times, count in known.values()) + sum(running)
    begun = len(running) * max((_deviation(times) for times in run_times.values()), default=0.0) ** 2
    doubt = sqrt(begun + sum(_variance(times, count) for times, count in known.values())) / max(limit, 1)
    longest = max([*running, *(times.median for times, _ in known.values())])
    middle = max(work / max(limit, 1), longest)
    spread = _DECILES / 2 * doubt
    return max(0.0, middle - spread), middle, middle + spread + _tail(run_times.values())


def _deviation(times: RunTimeSummary) -> float:
    return (times.high - times.low) / _DECILES


def _variance(times: RunTimeSummary, count: int) -> float:
    return _deviation(times) ** 2 * (count + count**2 / (times.samples + 1))


def _tail(known: Iterable[RunTimeSummary]) -> float:
    """The last to end may be one that takes long."""
    return max((times.high - times.median for times in known), default=0.0)
