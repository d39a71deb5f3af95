"""How long many jobs take against the best that the account allows, and how often a submit is refused on the way.

``uv run python -m benchmarks.admission [--quick]``: all jobs are there at once, in virtual time. The makespan runs
until the last task ends; it is compared with the same run times, in the order of creation, each begun the moment that
the account has a free slot. Shares are of the slots taken while both clients still had jobs to submit.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from math import inf

from attrs import evolve, field, frozen

from benchmarks._report import Row, tabulate
from benchmarks._world import MISSING, Client, History, World, fixed, ours, play_all, settled_at
from rh_async.emulator import Emulator, Fault, TaskRecord

PAIR = ("bench/one", "bench/two")
LAG = 2.0  #: seconds until the account frees the slot of a settled task
_HIDDEN = ((0.0, MISSING),)
_LATE = ((0.0, Fault("slot_release_delay", seconds=LAG, times=None)),)

Limits = tuple[tuple[float, int], ...]


@frozen(kw_only=True)
class Scenario:
    """An account, and what a session's figures may be at most on it.

    :param rounds: how many jobs there are per slot.
    :param lag: for how long, in seconds, a settled task keeps its slot.
    """

    name: str
    limits: Limits = ((0.0, 50),)
    faults: tuple[tuple[float, Fault], ...] = ()
    clients: tuple[str, ...] = ("rh_async",)
    rounds: int = 20
    lag: float = 0.0
    bars: Mapping[str, float] = field(factory=lambda: {"failed": 0.0})

    def world(self, share: float) -> World:
        """Return the world it runs in, with some share of its jobs; the client is not given the limit."""
        jobs = round(share * self.rounds * self.limits[0][1])
        return World(jobs=jobs, in_flight=None, limits=self.limits, faults=self.faults)


def _unknown(limit: int, **more: float) -> Scenario:
    rounds = {5: 40, 300: 10}.get(limit, 20)
    bars = {"failed": 0.0, **more}
    return Scenario(name=f"unknown limit of {limit}", limits=((0.0, limit),), faults=_HIDDEN, rounds=rounds, bars=bars)


async def both(server: Emulator, world: World) -> int:
    """Two sessions on one key, each with half of the jobs."""
    half = evolve(world, jobs=world.jobs // 2)
    return sum(await asyncio.gather(*(ours(server, half, endpoint=endpoint) for endpoint in PAIR)))


CLIENTS: Mapping[str, Client] = {
    "rh_async": ours,
    "two sessions": both,
    "fixed 5 s": fixed,
}
SCENARIOS = (
    Scenario(name="known limit of 50", clients=("rh_async", "fixed 5 s"), bars={"makespan": 1.015, "failed": 0.0}),
    Scenario(name=f"known limit of 50, slots freed {LAG:g} s late", faults=_LATE, lag=LAG),
    _unknown(5),
    _unknown(50, makespan=1.05),
    _unknown(300),
    Scenario(name="50, from 600 s on 20, from 1800 s on 50", limits=((0.0, 50), (600.0, 20), (1800.0, 50))),
    Scenario(name="the same, unknown", limits=((0.0, 50), (600.0, 20), (1800.0, 50)), faults=_HIDDEN),
    Scenario(name="one key, known limit of 50", clients=("two sessions",)),
    Scenario(name="one key, unknown limit of 50", clients=("two sessions",), faults=_HIDDEN),
)


def ideal(run_times: Iterable[float], limits: Limits) -> float:
    """Return how long a list of jobs takes when each begins the moment that a slot is free."""
    now, last, ends = 0.0, 0.0, list[float]()
    for run_time in run_times:
        now = _free_at(now, ends, limits)
        heappush(ends, now + run_time)
        last = max(last, now + run_time)
    return last


def _free_at(now: float, ends: list[float], limits: Limits) -> float:
    """Return when the next job may begin; removes from ``ends`` the jobs that have ended by then."""
    while True:
        while ends and ends[0] <= now:
            heappop(ends)
        if len(ends) < [limit for at, limit in limits if at <= now][-1]:
            return now
        now = min(ends[0] if ends else inf, *(at for at, _ in limits if at > now), inf)


def figures(scenario: Scenario, history: History) -> dict[str, float]:
    """Compare the run with the best schedule."""
    took = max(map(settled_at, history.tasks)) - history.began
    best = ideal((_run_time(task) + scenario.lag for task in history.tasks), scenario.limits) - scenario.lag
    refused = sum(bool(submission.code) for submission in history.submissions)
    found = {
        "makespan": took / best,
        "refused": refused / len(history.tasks),
        "failed": float(history.failed),
        "seconds": took,
    }
    return found | _shares(history)


def _run_time(task: TaskRecord) -> float:
    return settled_at(task) - (task.started_at or 0.0)


def _shares(history: History) -> dict[str, float]:
    """Return the share of each of two sessions in the slots that both held, in percent."""
    theirs = [[task for task in history.tasks if task.endpoint == endpoint] for endpoint in PAIR]
    if not all(theirs):
        return {}
    until = min(tasks[-1].created_at for tasks in theirs)
    held = [evolve(history, tasks=tasks).occupied(history.began, until) for tasks in theirs]
    return {f"share_{number}": 100 * one / sum(held) for number, one in enumerate(held, 1)}


def measure(scenarios: Iterable[Scenario], share: float) -> list[Row]:
    """Run the clients."""
    runs = [(scenario, name) for scenario in scenarios for name in scenario.clients]
    histories = play_all((scenario.world(share), CLIENTS[name]) for scenario, name in runs)
    return [
        Row(
            scenario=scenario.name,
            client=name,
            figures=figures(scenario, history),
            bars={} if name == "fixed 5 s" else scenario.bars,
        )
        for (scenario, name), history in zip(runs, histories, strict=True)
    ]


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    scenarios = [scenario for scenario in SCENARIOS if not quick or scenario.limits[0][1] <= 50]
    return tabulate("admission", measure(scenarios, 0.35 if quick else 1.0), keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
