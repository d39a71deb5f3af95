"""How long many jobs take under a rate limit against the best that it allows, and how many calls it refuses.

``uv run python -m benchmarks.rate_limit [--quick]``: all jobs are there at once, in virtual time over HTTP. The account
takes so many jobs at once and so many calls a second, one second's worth in a burst. The makespan runs until the last
task ends. The best has the same run times, in the order of creation: each begins the moment that there is both a place
and a token for its submit, as if submits were the only calls. Places are filled when as many tasks as there are places
have been created, which is told in multiples of places / rate. ``naive`` waits a second after each refusal and asks
about each job every five.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush

import aiohttp
from attrs import field, frozen

from benchmarks._report import Row, tabulate
from benchmarks._world import ENDPOINT, Client, History, World, _http, ours, play_all, settled_at
from rh_async.emulator import Emulator, RateLimit

_BARS: Mapping[str, float] = {"makespan": 1.08, "filled_in_n_over_rate": 2.0, "refused_per_job": 1.0, "failed": 0.0}
_ROUNDS = 4
_SEEDS = (1, 2, 3)


@frozen(kw_only=True)
class Scenario:
    """An account's two limits.

    :param places: how many jobs it takes at once.
    :param rate: how many calls it takes per second.
    :param answer: how it refuses more.  :param retry_after: what it says with that.
    """

    places: int
    rate: float
    answer: str = "1003"
    retry_after: float | None = None
    clients: tuple[str, ...] = ("rh_async",)
    seeds: tuple[int, ...] = _SEEDS
    bars: Mapping[str, float] = field(factory=lambda: _BARS)

    @property
    def name(self) -> str:
        """For people."""
        said = "" if self.answer == "1003" else ", by HTTP 429"
        after = "" if self.retry_after is None else f", Retry-After {self.retry_after:g}"
        return f"{self.places} places, {self.rate:g} calls/s{said}{after}"

    def world(self, seed: int) -> World:
        """The world it is played in; it says no number to the client."""
        limit = RateLimit(per_second=self.rate, response=self.answer, retry_after=self.retry_after)  # type: ignore[arg-type]
        return World(
            jobs=_ROUNDS * self.places,
            in_flight=None,
            limits=((0.0, self.places),),
            seed=seed,
            more={"rate_limit": limit},
        )


async def naive(server: Emulator, world: World) -> int:
    """A task per job, a second's sleep after each refusal, a question every five seconds."""
    slots = asyncio.Semaphore(world.limits[0][1])
    async with _http(server) as http, asyncio.TaskGroup() as jobs:
        for number in range(world.jobs):
            await slots.acquire()
            jobs.create_task(_naive_job(http, number)).add_done_callback(lambda _: slots.release())
    return 0


async def _naive_job(http: aiohttp.ClientSession, number: int) -> None:
    task_id = (await _insisted(http, ENDPOINT, {"seed": number}))["taskId"]
    status = "QUEUED"
    while status in {"QUEUED", "RUNNING"}:
        await asyncio.sleep(5.0)
        status = (await _insisted(http, "query", {"taskId": task_id}))["status"]


async def _insisted(http: aiohttp.ClientSession, path: str, body: object) -> dict[str, str]:
    while True:
        async with http.post(f"/openapi/v2/{path}", json=body) as response:
            answer: dict[str, str] = await response.json()
        if answer["errorCode"] not in {"1003", "421"}:
            return answer
        await asyncio.sleep(1.0)


CLIENTS: Mapping[str, Client] = {"rh_async": ours, "naive": naive}
SCENARIOS = (
    *(Scenario(places=places, rate=rate) for rate in (10.0, 20.0) for places in (50, 200, 500)),
    Scenario(places=200, rate=20.0, answer="429", retry_after=1.0),
    Scenario(places=200, rate=20.0, clients=("naive",), seeds=(1,), bars={}),
)
_QUICK = (Scenario(places=50, rate=10.0, seeds=(1,)), Scenario(places=50, rate=20.0, seeds=(1,)))


def ideal(run_times: Iterable[float], *, places: int, rate: float) -> float:
    """How long jobs take when each begins the moment that there is a place and a token for its submit."""
    last, ends = 0.0, list[float]()
    burst = max(1.0, rate)
    for number, run_time in enumerate(run_times, 1):
        at = max(0.0, (number - burst) / rate)
        if len(ends) == places:
            at = max(at, heappop(ends))
        heappush(ends, at + run_time)
        last = max(last, at + run_time)
    return last


def figures(scenario: Scenario, history: History) -> dict[str, float]:
    """Compare what happened with what could have."""
    took = max(map(settled_at, history.tasks)) - history.began
    run_times = (settled_at(task) - (task.started_at or 0.0) for task in history.tasks)
    best = ideal(run_times, places=scenario.places, rate=scenario.rate)
    filled = history.tasks[scenario.places - 1].created_at - history.began
    last_start = history.tasks[-1].created_at
    jobs = len(history.tasks)
    return {
        "makespan": took / best,
        "filled_in_n_over_rate": filled / (scenario.places / scenario.rate),
        "refused_per_job": len(history.rate_limited_calls) / jobs,
        "failed": float(history.failed),
        "seconds": took,
        "ideal_seconds": best,
        "filled_seconds": filled,
        "idle_percent": 100 * (1 - history.occupied(history.began + filled, last_start) / scenario.places),
        "calls_per_job": (len(history.submissions) + len(history.calls)) / jobs,
    }


def measure(scenarios: Iterable[Scenario]) -> list[Row]:
    """Let the clients loose."""
    games = [(one, name, seed) for one in scenarios for name in one.clients for seed in one.seeds]
    histories = play_all((scenario.world(seed), CLIENTS[name]) for scenario, name, seed in games)
    return [
        Row(
            scenario=f"{scenario.name}, seed {seed}",
            client=name,
            figures=figures(scenario, history),
            bars=scenario.bars,
        )
        for (scenario, name, seed), history in zip(games, histories, strict=True)
    ]


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    return tabulate("rate_limit", measure(_QUICK if quick else SCENARIOS), keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
