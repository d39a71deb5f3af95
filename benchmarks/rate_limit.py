"""How long many jobs take under a rate limit against the best that it allows, and how many calls it refuses.

``uv run python -m benchmarks.rate_limit [--quick]``: all jobs are there at once, in virtual time over HTTP. The account
takes so many jobs at once and so many calls a second, one second's worth in a burst. The makespan runs until the last
task ends. The best has the same run times, in the order of creation: each begins the moment that there is both a slot
and a token for its submit, as if submits were the only calls. Places are filled when as many tasks as there are slots
have been created, which is given in multiples of slots / rate. ``naive`` waits a second after each refusal and polls
each job every five.
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

    :param slots: how many jobs it takes at once.
    :param rate: how many calls it takes per second.
    :param response: how it refuses more.  :param retry_after: the header it sends with that.
    """

    slots: int
    rate: float
    response: str = "1003"
    retry_after: float | None = None
    clients: tuple[str, ...] = ("rh_async",)
    seeds: tuple[int, ...] = _SEEDS
    bars: Mapping[str, float] = field(factory=lambda: _BARS)

    @property
    def name(self) -> str:
        """The name in the table."""
        refusal = "" if self.response == "1003" else ", by HTTP 429"
        after = "" if self.retry_after is None else f", Retry-After {self.retry_after:g}"
        return f"{self.slots} slots, {self.rate:g} calls/s{refusal}{after}"

    def world(self, seed: int) -> World:
        """Return the world it runs in; the client is not given the limit."""
        limit = RateLimit(per_second=self.rate, response=self.response, retry_after=self.retry_after)  # type: ignore[arg-type]
        return World(
            jobs=_ROUNDS * self.slots,
            in_flight=None,
            limits=((0.0, self.slots),),
            seed=seed,
            more={"rate_limit": limit},
        )


async def naive(server: Emulator, world: World) -> int:
    """Run a task per job, with a second's sleep after each refusal, and poll every five seconds."""
    free = asyncio.Semaphore(world.limits[0][1])
    async with _http(server) as http, asyncio.TaskGroup() as jobs:
        for number in range(world.jobs):
            await free.acquire()
            jobs.create_task(_naive_job(http, number)).add_done_callback(lambda _: free.release())
    return 0


async def _naive_job(http: aiohttp.ClientSession, number: int) -> None:
    task_id = (await _post_until_accepted(http, ENDPOINT, {"seed": number}))["taskId"]
    status = "QUEUED"
    while status in {"QUEUED", "RUNNING"}:
        await asyncio.sleep(5.0)
        status = (await _post_until_accepted(http, "query", {"taskId": task_id}))["status"]


async def _post_until_accepted(http: aiohttp.ClientSession, path: str, body: object) -> dict[str, str]:
    while True:
        async with http.post(f"/openapi/v2/{path}", json=body) as response:
            answer: dict[str, str] = await response.json()
        if answer["errorCode"] not in {"1003", "421"}:
            return answer
        await asyncio.sleep(1.0)


CLIENTS: Mapping[str, Client] = {"rh_async": ours, "naive": naive}
SCENARIOS = (
    *(Scenario(slots=slots, rate=rate) for rate in (10.0, 20.0) for slots in (50, 200, 500)),
    Scenario(slots=200, rate=20.0, response="429", retry_after=1.0),
    Scenario(slots=200, rate=20.0, clients=("naive",), seeds=(1,), bars={}),
)
_QUICK = (Scenario(slots=50, rate=10.0, seeds=(1,)), Scenario(slots=50, rate=20.0, seeds=(1,)))


def ideal(run_times: Iterable[float], *, slots: int, rate: float) -> float:
    """Return how long jobs take when each begins the moment that there is a slot and a token for its submit."""
    last, ends = 0.0, list[float]()
    burst = max(1.0, rate)
    for number, run_time in enumerate(run_times, 1):
        at = max(0.0, (number - burst) / rate)
        if len(ends) == slots:
            at = max(at, heappop(ends))
        heappush(ends, at + run_time)
        last = max(last, at + run_time)
    return last


def figures(scenario: Scenario, history: History) -> dict[str, float]:
    """Compare the run with the best schedule."""
    took = max(map(settled_at, history.tasks)) - history.began
    run_times = (settled_at(task) - (task.started_at or 0.0) for task in history.tasks)
    best = ideal(run_times, slots=scenario.slots, rate=scenario.rate)
    filled = history.tasks[scenario.slots - 1].created_at - history.began
    last_start = history.tasks[-1].created_at
    jobs = len(history.tasks)
    return {
        "makespan": took / best,
        "filled_in_n_over_rate": filled / (scenario.slots / scenario.rate),
        "refused_per_job": len(history.rate_limited_calls) / jobs,
        "failed": float(history.failed),
        "seconds": took,
        "ideal_seconds": best,
        "filled_seconds": filled,
        "idle_percent": 100 * (1 - history.occupied(history.began + filled, last_start) / scenario.slots),
        "calls_per_job": (len(history.submissions) + len(history.calls)) / jobs,
    }


def measure(scenarios: Iterable[Scenario]) -> list[Row]:
    """Run the clients."""
    runs = [(one, name, seed) for one in scenarios for name in one.clients for seed in one.seeds]
    histories = play_all((scenario.world(seed), CLIENTS[name]) for scenario, name, seed in runs)
    return [
        Row(
            scenario=f"{scenario.name}, seed {seed}",
            client=name,
            figures=figures(scenario, history),
            bars=scenario.bars,
        )
        for (scenario, name, seed), history in zip(runs, histories, strict=True)
    ]


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    return tabulate("rate_limit", measure(_QUICK if quick else SCENARIOS), keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
