"""Whether hundreds and thousands of jobs are polled as well as by a loop per job, for fewer requests.

``uv run python -m benchmarks.scale [--quick]``: the scheduler alone, against simulated jobs, so that tens of thousands
can be measured over several seeds; the network takes no time. The loop polls the same jobs every five seconds. The
first round in each slot, and the last, are not counted. Excess is against the loop.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from math import ceil
from random import Random

from attrs import frozen

from benchmarks._report import Row, tabulate
from rh_async import TaskId
from tests.pure.fleet import Fleet, lognormal, trained

_EVERY = 5.0  # seconds
_BARS = {"requests_share": 0.65, "excess_seconds": 0.0}
_SIZES = (200, 500, 1000, 2000)


@frozen(kw_only=True)
class Run:
    """One seed of one size.

    :param rounds: how many are measured.
    """

    slots: int
    rounds: int
    seed: int


def play(run: Run) -> dict[str, float]:
    """Measure the scheduler, and compute what the loop would have done about the same jobs."""
    fleet = Fleet(trained(lognormal(), seed=run.seed), slots=run.slots, rng=Random(run.seed))
    began = time.process_time()
    fleet.run((run.rounds + 2) * run.slots)
    cpu = (time.process_time() - began) / len(fleet.latencies)
    measured = [TaskId(f"t{n}") for n in range(run.slots, (run.rounds + 1) * run.slots)]
    polls, many = Counter(task for _, task in fleet.polls), len(measured)
    loop_polls = [ceil(fleet.run_times[task] / _EVERY) for task in measured]
    late = sum(_EVERY * count - fleet.run_times[task] for count, task in zip(loop_polls, measured, strict=True))
    ranked = sorted(fleet.latencies[task] for task in measured)
    return {
        "requests": 1.0 + sum(polls[task] for task in measured) / many,
        "latency_mean": sum(ranked) / many,
        "latency_p99": ranked[ceil(0.99 * many) - 1],
        "loop_requests": 1.0 + sum(loop_polls) / many,
        "loop_latency_mean": late / many,
        "cpu_ms_per_job": 1000.0 * cpu,
    }


def row(slots: int, results: Iterable[dict[str, float]]) -> Row:
    """Return the mean over the seeds, and the worst seed."""
    seeds = list(results)
    figures = {name: sum(one[name] for one in seeds) / len(seeds) for name in seeds[0]}
    shares = [one["requests"] / one["loop_requests"] for one in seeds]
    excess = [one["latency_mean"] - one["loop_latency_mean"] for one in seeds]
    figures |= {
        "requests_share": figures["requests"] / figures["loop_requests"],
        "excess_seconds": figures["latency_mean"] - figures["loop_latency_mean"],
        "worst_share": max(shares),
        "worst_excess": max(excess),
    }
    return Row(scenario=f"{slots} in flight", client="rh_async", figures=figures, bars=_BARS)


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    sizes, seeds, jobs = (_SIZES[:2], 2, 2000) if quick else (_SIZES, 5, 6000)
    runs = [
        Run(slots=slots, rounds=max(jobs // slots, 2), seed=seed) for slots in sizes for seed in range(1, seeds + 1)
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(play, runs))
    rows = [row(slots, [one for run, one in zip(runs, results, strict=True) if run.slots == slots]) for slots in sizes]
    return tabulate("scale", rows, keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
