"""How soon the end of a job of an unknown model is detected, and what jobs that fail at once cost.

``uv run python -m benchmarks.cold [--quick]``: a session with all defaults and no journal, in virtual time. The rows of
one job are the worst of a few run times near the one that is named. Makespan is the last task's end against the best.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from random import Random

from attrs import field, frozen

from benchmarks._report import Row, tabulate
from benchmarks._world import MISSING, USUAL, Client, History, World, ours, play_all, settled_at, trained
from benchmarks.polling import latency_of, queries_in

_SECONDS = (0.1, 2.0, 5.0, 10.0, 20.0, 40.0)
_NEARBY = (0.93, 0.97, 1.0, 1.04)  # of a run time: the latency depends on where the polls fall
_REFUSED = 0.1  # of all jobs
_AT_ONCE = 0.01  # seconds


@frozen
class Constant:
    """One run time, always."""

    seconds: float

    def __call__(self, _endpoint: str, _rng: Random) -> float:
        return self.seconds


def often_at_once(endpoint: str, rng: Random) -> float:
    """Return a run time; moderation refuses a tenth of the jobs as soon as they are accepted."""
    return _AT_ONCE if rng.random() < _REFUSED else USUAL(endpoint, rng)


@frozen(kw_only=True)
class Scenario:
    """Simulated accounts whose worst figures count, and the limits for these."""

    name: str
    worlds: tuple[World, ...]
    client: Client = ours
    bars: Mapping[str, float] = field(factory=dict)
    ideal: float | None = None  #: seconds
    average: bool = False


def _one(seconds: float, *, readable: bool) -> Scenario:
    times = [seconds] if seconds < 1.0 else [seconds * near for near in _NEARBY]
    faults = () if readable else ((0.0, MISSING),)
    return Scenario(
        name=f"one job of {seconds:g} s, counters {'readable' if readable else 'missing'}",
        worlds=tuple(World(jobs=1, in_flight=None, run_time=Constant(time), faults=faults) for time in times),
        bars={"latency_max": 2.0 if readable else max(3.0, 0.25 * seconds)},
    )


def _fast(jobs: int, seconds: float) -> Scenario:
    return Scenario(
        name=f"{jobs} jobs of {seconds:g} s in 50 slots",
        worlds=(World(jobs=jobs, run_time=Constant(seconds)),),
        ideal=seconds * jobs / 50,
        bars={"makespan": 1.15} if seconds == 10.0 else {},
    )


def scenarios(*, quick: bool) -> list[Scenario]:
    """All of them, or fewer seeds and jobs."""
    seeds, jobs = (2, 150) if quick else (6, 600)
    return [
        *(_one(seconds, readable=readable) for readable in (True, False) for seconds in _SECONDS),
        *(_fast(jobs, seconds) for seconds in (2.0, 10.0, 30.0) for jobs in (50, 200)),
        Scenario(
            name="one in ten fails at once, 50 in flight",
            worlds=tuple(World(jobs=jobs, run_time=often_at_once, seed=seed) for seed in range(1, seeds + 1)),
            client=trained,
            bars={"requests": 21.0, "latency_mean": 0.8},
            average=True,
        ),
    ]


def figures(scenario: Scenario, histories: Iterable[History]) -> dict[str, float]:
    """Return the worst figures, or the means where the runs differ by their seed only."""
    runs = [_figures(scenario, history) for history in histories]
    many = {name: max(one[name] for one in runs) for name in runs[0]}
    if scenario.average:
        worst = {"latency_mean_worst": many["latency_mean"], "requests_worst": many["requests"]}
        return {name: sum(one[name] for one in runs) / len(runs) for name in many} | worst
    return many


def _figures(scenario: Scenario, history: History) -> dict[str, float]:
    queried = queries_in(history)
    latencies = [
        latency_of(settled_at(task), queried[task.task_id]) for task in history.tasks if task.task_id in queried
    ]
    found = {
        "requests": (len(history.submissions) + len(history.calls)) / len(history.tasks),
        "latency_mean": sum(latencies) / len(latencies),
        "latency_max": max(latencies),
    }
    if scenario.ideal is not None:
        found["makespan"] = (max(map(settled_at, history.tasks)) - history.began) / scenario.ideal
    return found


def measure(found: Iterable[Scenario]) -> list[Row]:
    """Run a session in each."""
    chosen = list(found)
    histories = iter(play_all((world, one.client) for one in chosen for world in one.worlds))
    return [
        Row(
            scenario=one.name,
            client="rh_async",
            figures=figures(one, [next(histories) for _ in one.worlds]),
            bars=one.bars,
        )
        for one in chosen
    ]


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    return tabulate("cold", measure(scenarios(quick=quick)), keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
