"""How many requests a job takes, and how late its end is detected, while every slot is refilled.

``uv run python -m benchmarks.polling [--quick]``: each client meets each scenario in virtual time. Requests are
submits, queries and reads of the queue counters; reads are shared by the jobs that settled in the meantime. Latency
is in seconds, from the task's end, by the server's clock, to the first query after it.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import ceil

from attrs import evolve, field, frozen

from benchmarks._report import Row, tabulate
from benchmarks._world import (
    ENDPOINT,
    MISSING,
    USUAL,
    Client,
    History,
    LogNormal,
    Mixed,
    World,
    fixed,
    ours,
    play_all,
    settled_at,
)
from rh_async.emulator import BackgroundLoad, Fault

LEARNED = {"requests": 20.0, "latency_mean": 0.7}
BLIND = {"requests": 28.0, "latency_mean": 2.6, "latency_p99": 10.0}
COLD = {"requests": 32.0, "latency_mean": 3.0}
_FROZEN = Fault("frozen_counters", times=None)
_RANDOM = Fault("random_counters", times=None)


@frozen(kw_only=True)
class Scenario:
    """Which jobs are measured, and in which world.

    :param warm_up: how many jobs come before them.
    :param jobs: how many are measured.
    :param cool_down: how many come after them, so that the last find every slot taken; None for one per slot.
    :param clients: which clients it is run with.
    :param bars: what a session's figures may be at most.
    """

    name: str
    in_flight: int = 50
    warm_up: int | None = None
    jobs: int | None = None
    cool_down: int | None = None
    world: World = field(factory=lambda: World(jobs=0))
    clients: tuple[str, ...] = ("rh_async", "fixed 5 s")
    bars: Mapping[str, float] = field(factory=dict)

    def sized(self, rounds: int) -> Scenario:
        """With every number of jobs decided: each slot warms up for some rounds, and is measured for as many."""
        usual = max(rounds * self.in_flight, 25 * rounds)
        warm_up = usual if self.warm_up is None else self.warm_up
        jobs = usual if self.jobs is None else self.jobs
        cool_down = self.in_flight if self.cool_down is None else self.cool_down
        world = evolve(self.world, jobs=warm_up + jobs + cool_down, in_flight=self.in_flight)
        return evolve(self, warm_up=warm_up, jobs=jobs, cool_down=cool_down, world=world)


def _limited(limit: int) -> World:
    return World(jobs=0, limits=((0.0, limit),))


def _counters(name: str, fault: Fault, at: float = 0.0) -> Scenario:
    """Return a scenario whose counters mislead; to a client that does not read them it is the first one."""
    return Scenario(name=name, world=World(jobs=0, faults=((at, fault),)), clients=("rh_async",), bars=BLIND)


SCENARIOS = (
    Scenario(name="50 in flight, 180 s, spread 0.4", bars=LEARNED),
    Scenario(name="50 in flight, 180 s, spread 0.2", world=World(jobs=0, run_time=LogNormal(180.0, 0.2)), bars=LEARNED),
    Scenario(
        name="100 in flight, 60 s, spread 0.25",
        in_flight=100,
        world=evolve(_limited(100), run_time=LogNormal(60.0, 0.25)),
    ),
    Scenario(name="10 in flight", in_flight=10, world=_limited(10)),
    Scenario(name="500 in flight", in_flight=500, world=_limited(500)),
    Scenario(name="cold start, 50 jobs alone", warm_up=0, jobs=50, cool_down=0, bars=COLD),
    Scenario(name="cold start, first 50 of many", warm_up=0, jobs=50, cool_down=200, bars=COLD),
    Scenario(
        name="half 60 s, half 300 s", world=World(jobs=0, run_time=Mixed((LogNormal(60.0, 0.1), LogNormal(300.0, 0.1))))
    ),
    Scenario(name="half of them queued", world=World(jobs=0, more={"model_limits": {ENDPOINT: 25}})),
    _counters("counters missing", MISSING),
    _counters("counters frozen", _FROZEN),
    # Ends before the freeze is noticed were left to the counters: there is no limit for the tail of their latency.
    evolve(_counters("counters frozen after 600 s", _FROZEN, at=600.0), bars={"requests": 28.0, "latency_mean": 2.6}),
    _counters("counters random", _RANDOM),
    Scenario(
        name="50 foreign tasks on the key",
        world=evolve(_limited(110), more={"background_load": BackgroundLoad(count=50, run_time=USUAL)}),
        clients=("rh_async",),
        bars=BLIND,
    ),
)
CLIENTS: Mapping[str, Client] = {"rh_async": ours, "fixed 5 s": fixed}


def figures(scenario: Scenario, history: History) -> dict[str, float]:
    """Return the requests and the latency of the measured jobs."""
    first = scenario.warm_up or 0
    measured = history.tasks[first : first + (scenario.jobs or 0)]
    start, end = measured[0].created_at, max(map(settled_at, measured))
    settled = sum(start < settled_at(task) <= end for task in history.tasks)
    created = sum(start <= task.created_at <= end for task in history.tasks)
    queried = queries_in(history)
    queries = sum(len(queried[task.task_id]) for task in measured) / len(measured)
    counter_reads = sum(it.kind == "queue_status" and start <= it.at <= end for it in history.calls) / settled
    submits = sum(start <= it.at <= end for it in history.submissions) / created
    latencies = sorted(latency_of(settled_at(task), queried[task.task_id]) for task in measured)
    return {
        "requests": submits + queries + counter_reads,
        "submits": submits,
        "queries": queries,
        "counter_reads": counter_reads,
        "latency_mean": sum(latencies) / len(latencies),
        "latency_p99": latencies[ceil(0.99 * len(latencies)) - 1],
        "idle_percent": 100 * (1 - history.occupied(start, measured[-1].created_at) / scenario.in_flight)
        if measured[-1].created_at > start
        else 0.0,
    }


def queries_in(history: History) -> dict[str, list[float]]:
    """Return when each task was queried."""
    queries = defaultdict(list)
    for call in history.calls:
        if call.kind == "query" and call.task_id:
            queries[call.task_id].append(call.at)
    return queries


def latency_of(settled: float, queries: list[float]) -> float:
    """Return how long after its end a task was first queried."""
    return queries[bisect_left(queries, settled)] - settled


def measure(scenarios: Iterable[Scenario]) -> list[Row]:
    """Run every client in every scenario."""
    runs = [(scenario, name) for scenario in scenarios for name in scenario.clients]
    histories = play_all((scenario.world, CLIENTS[name]) for scenario, name in runs)
    return [
        Row(
            scenario=scenario.name,
            client=name,
            figures=figures(scenario, history),
            bars=scenario.bars if name == "rh_async" else {},
        )
        for (scenario, name), history in zip(runs, histories, strict=True)
    ]


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    scenarios = [scenario.sized(2 if quick else 6) for scenario in SCENARIOS if not quick or scenario.in_flight <= 100]
    return tabulate("polling", measure(scenarios), keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
