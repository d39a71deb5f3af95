"""How soon the end of a job is noticed whose model nobody knows, and what jobs that fail at once cost.

``uv run python -m benchmarks.cold [--quick]``: a session with all defaults and no journal, in virtual time. The rows of
one job are the worst of a few run times near the one that is named. Makespan is the last task's end against the best.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from random import Random

from attrs import field, frozen

from benchmarks._report import Row, tabulate
from benchmarks._world import MISSING, USUAL, Client, History, World, ours, play_all, settled_at, taught
from benchmarks.polling import asked_in, late_of

_SECONDS = (0.1, 2.0, 5.0, 10.0, 20.0, 40.0)
_NEARBY = (0.93, 0.97, 1.0, 1.04)  # of a run time: how late it is noticed depends on where the looks fall
_REFUSED = 0.1  # of all jobs
_AT_ONCE = 0.01  # seconds


@frozen
class Constant:
    """One run time, always."""

    seconds: float

    def __call__(self, _endpoint: str, _rng: Random) -> float:
        return self.seconds


def often_at_once(endpoint: str, rng: Random) -> float:
    """A tenth of the jobs is refused by moderation as soon as it is accepted."""
    return _AT_ONCE if rng.random() < _REFUSED else USUAL(endpoint, rng)


@frozen(kw_only=True)
class Scenario:
    """Worlds whose worst figures count, and what they may be at most."""

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
        name=f"one job of {seconds:g} s, counts {'readable' if readable else 'missing'}",
        worlds=tuple(World(jobs=1, in_flight=None, run_time=Constant(time), faults=faults) for time in times),
        bars={"late_max": 2.0 if readable else max(3.0, 0.25 * seconds)},
    )


def _fast(jobs: int, seconds: float) -> Scenario:
    return Scenario(
        name=f"{jobs} jobs of {seconds:g} s in 50 places",
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
            client=taught,
            bars={"requests": 21.0, "late_mean": 0.8},
            average=True,
        ),
    ]


def figures(scenario: Scenario, histories: Iterable[History]) -> dict[str, float]:
    """The worst of what happened, or the mean of each world where they are seeds of one."""
    found = [_figures(scenario, history) for history in histories]
    many = {name: max(one[name] for one in found) for name in found[0]}
    if scenario.average:
        worst = {"late_mean_worst": many["late_mean"], "requests_worst": many["requests"]}
        return {name: sum(one[name] for one in found) / len(found) for name in many} | worst
    return many


def _figures(scenario: Scenario, history: History) -> dict[str, float]:
    asked = asked_in(history)
    late = [late_of(settled_at(task), asked[task.task_id]) for task in history.tasks if task.task_id in asked]
    found = {
        "requests": (len(history.submissions) + len(history.calls)) / len(history.tasks),
        "late_mean": sum(late) / len(late),
        "late_max": max(late),
    }
    if scenario.ideal is not None:
        found["makespan"] = (max(map(settled_at, history.tasks)) - history.began) / scenario.ideal
    return found


def measure(found: Iterable[Scenario]) -> list[Row]:
    """Let a session loose on each."""
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
