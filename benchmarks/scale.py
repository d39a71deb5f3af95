"""Whether hundreds and thousands in flight are asked about as well as a loop per job would, for fewer requests.

``uv run python -m benchmarks.scale [--quick]``: the timetable alone, against jobs that end in a simulation, so that
tens of thousands can be measured over several seeds: what is late is late by its own choice. The loop asks about the
same jobs every five seconds. The first round in each place, and the last, are not counted. Excess is against the loop.
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
class Game:
    """One seed of one size.

    :param rounds: how many are measured.
    """

    slots: int
    rounds: int
    seed: int


def play(game: Game) -> dict[str, float]:
    """Measure the timetable, and reckon what the loop would have done about the same jobs."""
    fleet = Fleet(trained(lognormal(), seed=game.seed), slots=game.slots, rng=Random(game.seed))
    began = time.process_time()
    fleet.run((game.rounds + 2) * game.slots)
    cpu = (time.process_time() - began) / len(fleet.latencies)
    measured = [TaskId(f"t{n}") for n in range(game.slots, (game.rounds + 1) * game.slots)]
    asked, many = Counter(task for _, task in fleet.polls), len(measured)
    questions = [ceil(fleet.run_times[task] / _EVERY) for task in measured]
    late = sum(_EVERY * asked - fleet.run_times[task] for asked, task in zip(questions, measured, strict=True))
    ranked = sorted(fleet.latencies[task] for task in measured)
    return {
        "requests": 1.0 + sum(asked[task] for task in measured) / many,
        "late_mean": sum(ranked) / many,
        "late_p99": ranked[ceil(0.99 * many) - 1],
        "loop_requests": 1.0 + sum(questions) / many,
        "loop_late_mean": late / many,
        "cpu_ms_per_job": 1000.0 * cpu,
    }


def row(slots: int, found: Iterable[dict[str, float]]) -> Row:
    """The mean over the seeds, and the seed that was worst."""
    seeds = list(found)
    figures = {name: sum(one[name] for one in seeds) / len(seeds) for name in seeds[0]}
    shares = [one["requests"] / one["loop_requests"] for one in seeds]
    excess = [one["late_mean"] - one["loop_late_mean"] for one in seeds]
    figures |= {
        "requests_share": figures["requests"] / figures["loop_requests"],
        "excess_seconds": figures["late_mean"] - figures["loop_late_mean"],
        "worst_share": max(shares),
        "worst_excess": max(excess),
    }
    return Row(scenario=f"{slots} in flight", client="rh_async", figures=figures, bars=_BARS)


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    sizes, seeds, jobs = (_SIZES[:2], 2, 2000) if quick else (_SIZES, 5, 6000)
    games = [
        Game(slots=slots, rounds=max(jobs // slots, 2), seed=seed) for slots in sizes for seed in range(1, seeds + 1)
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(play, games))
    rows = [row(slots, [one for game, one in zip(games, found, strict=True) if game.slots == slots]) for slots in sizes]
    return tabulate("scale", rows, keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
