"""How much CPU a job costs the client, beside a loop that sends the same requests and does nothing else.

``uv run python -m benchmarks.overhead [--quick]``: rounds of ours and of the baseline take turns in one process; a bare
server in another settles each task at its 18th query. What counts is the ratio of the cheapest rounds, with requests
``spread``, as in life: each wakes either client on its own. ``busy``, as fast as the client can, is shown beside it:
there the baseline's slots fall into step and share their wake-ups. The baseline makes a new connection for each submit,
as ours does, because a paid POST must not meet a connection that the server has just closed. What reusing one would
save is shown without a limit. One profiled round shows where the rest goes.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from time import process_time
from typing import Any

from attrs import define, field, frozen

from benchmarks._bare import bare_process, counts
from benchmarks._report import Row, tabulate
from benchmarks._rivals import ENDPOINT, Target, baseline
from rh_async import ModelRequest, PollingPolicy, Session

BARS = {"ratio_to_baseline": 1.35}
POLLS = 18
"""About what a job of three minutes takes."""
_SLOTS = 50
_BASELINES = {"baseline": True, "baseline_reusing_connections": False}

Gauge = Callable[[str], AbstractContextManager[object]]


@frozen(kw_only=True)
class Load:
    """How the requests are spread.

    :param interval: between two polls of one job, in seconds.
    :param polling: the same for ours, whatever it may learn of run times.
    """

    name: str
    interval: float
    polling: PollingPolicy


BUSY = Load(
    name="busy",
    interval=0.0,
    polling=PollingPolicy(interval=0.001, max_interval=0.001, polls_per_second=1e6, max_open_polls=_SLOTS),
)
SPREAD = Load(
    name="spread",
    interval=0.1,
    polling=PollingPolicy(interval=0.1, max_interval=0.1, polls_per_second=_SLOTS / 0.1),
)


@define
class Meter:
    """The CPU seconds of each client's rounds, per job."""

    jobs: int
    rounds: dict[str, list[float]] = field(factory=dict)
    sent: Counter[str] = field(factory=Counter)  #: by ours, as the server saw it

    async def take(self, name: str, work: Awaitable[int], gauge: Gauge) -> None:
        """Let a client do its work, all of it."""
        gc.collect()
        with gauge(name):
            began = process_time()
            settled = await work
            spent = process_time() - began
        if settled != self.jobs:
            raise SystemExit(f"{name}: {settled} of {self.jobs} jobs settled")
        self.rounds.setdefault(name, []).append(spent / self.jobs)

    def least(self, name: str) -> float:
        """The cheapest round, in milliseconds per job."""
        return 1000 * min(self.rounds[name])

    def requests_per_job(self) -> float:
        """How many requests ours sent; the baseline sends 19."""
        return self.sent.total() / self.jobs / len(self.rounds["ours"])


async def ours(session: Session, bodies: Iterable[dict[str, Any]]) -> int:
    """Run jobs the way a user runs many; how many succeeded."""
    outcomes = session.map(ModelRequest(ENDPOINT, body) for body in bodies)
    return sum([outcome.result is not None async for outcome in outcomes])


async def play(meter: Meter, load: Load, target: Target, gauge: Gauge = lambda _: nullcontext()) -> None:
    """One round: ours, then both baselines."""
    bodies = [{"seed": number} for number in range(meter.jobs)]
    before = counts(target.url)
    async with Session(target.api_key, base_url=target.url, in_flight=_SLOTS, polling=load.polling) as session:
        await meter.take("ours", ours(session, bodies), gauge)
    meter.sent += counts(target.url) - before
    for name, handshake in _BASELINES.items():
        before = counts(target.url)
        async with baseline(target, handshake=handshake) as least:
            await meter.take(name, least.run(bodies, _SLOTS, POLLS), gauge)
        sent = counts(target.url) - before
        if sent != Counter(submit=meter.jobs, query=meter.jobs * POLLS):
            raise SystemExit(f"{name} sent {sent}")


def rounds(jobs: int, load: Load, number: int, gauge: Gauge = lambda _: nullcontext()) -> Meter:
    """Play rounds in one load."""
    meter = Meter(jobs)
    with bare_process(POLLS) as url:
        target = Target(url=url, api_key="f" * 32, interval=load.interval)
        for _ in range(number):
            asyncio.run(play(meter, load, target, gauge))
    return meter


# --- where it goes ----------------------------------------------------------------------------------------------------


def spent_by_module(profile: cProfile.Profile) -> Counter[str]:
    """Return own time, in seconds, by module of rh_async or by library; what is written in C counts for its caller."""
    profile.create_stats()
    modules: Counter[str] = Counter()
    for (path, _, name), (_, _, own, _, callers) in profile.stats.items():
        if path == "~":
            for (caller, _, _), times in callers.items():
                modules[_module(caller, name)] += times[2]
        else:
            modules[_module(path, name)] += own
    return modules


def _module(path: str, name: str) -> str:
    """Return where a function is defined; generated methods are where their class is."""
    if "_socket." in name or "select." in name:
        return "system calls"
    if ours := re.search(r".*\b(rh_async(?:[./]_?[a-z]\w*)*)", path.removesuffix(".py")):
        return ours[1].replace("/", ".")
    found = re.search(r"site-packages/(\w+)|python3\.\d+/(?!site-)(\w+)|generated \w+ (\w+)", path)
    return "other" if found is None else ".".join(filter(None, found.groups()))


def beyond_the_baseline(jobs: int) -> dict[str, float]:
    """Return the share of each module in what rh_async spends beyond the baseline, in percent, by profiling a round."""
    profiles = {name: cProfile.Profile(process_time) for name in ("ours", *_BASELINES)}
    rounds(jobs, SPREAD, 1, profiles.__getitem__)
    mine, least = (spent_by_module(profiles[name]) for name in ("ours", "baseline"))
    whole = mine.total() - least.total()
    more = {module: 100 * (mine[module] - least[module]) / whole for module in {*mine, *least}}
    return {module: share for module, share in sorted(more.items(), key=lambda one: -one[1]) if abs(share) >= 1}


def compared(meter: Meter, load: Load) -> list[Row]:
    """What each client's job costs, ours beside the baselines'."""
    mine = meter.least("ours")
    ratios = {f"ratio_to_{name}": mine / meter.least(name) for name in _BASELINES}
    bars = BARS if load is SPREAD else {}
    figures = {"cpu_ms_per_job": mine, **ratios, "requests_per_job": meter.requests_per_job()}
    rows = [Row(scenario=load.name, client="rh_async", figures=figures, bars=bars)]
    return rows + [
        Row(scenario=load.name, client=name, figures={"cpu_ms_per_job": meter.least(name)}) for name in _BASELINES
    ]


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    jobs, number = (50, 3) if quick else (100, 20)
    rows = [row for load in (SPREAD, BUSY) for row in compared(rounds(jobs, load, number), load)]
    rows += [
        Row(scenario="share of what rh_async spends beyond the baseline", client=module, figures={"percent": share})
        for module, share in beyond_the_baseline(jobs).items()
    ]
    return tabulate("overhead", rows, keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
