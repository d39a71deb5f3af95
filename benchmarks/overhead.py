"""How much CPU a job costs the client, beside a loop that sends the same requests and does nothing else.

``uv run python -m benchmarks.overhead [--quick]``: rounds of ours and of the floor take turns in one process; a bare
server in another settles each task at its 18th question. What counts is the ratio of the cheapest rounds, with requests
``spread``, as in life: each wakes either client on its own. ``busy``, as fast as the client can, is shown beside it:
there the floor's slots fall into step and share their wake-ups. The floor makes a new connection for each submit, as
ours does, because a paid POST must not meet a connection that the server has just closed: that is on the wire too. What
reusing one would save is shown without a bar. One profiled round says where the rest goes.
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
from benchmarks._rivals import ENDPOINT, Shop, floor
from rh_async import ModelRequest, PollingPolicy, Session

BARS = {"ratio_to_floor": 1.35}
QUESTIONS = 18
"""About what a job of three minutes takes."""
_SLOTS = 50
_FLOORS = {"floor": True, "floor_reusing_connections": False}

Gauge = Callable[[str], AbstractContextManager[object]]


@frozen(kw_only=True)
class Manner:
    """How the requests are spread.

    :param interval: between two questions about one job, in seconds.
    :param polling: the same for ours, whatever it may learn of run times.
    """

    name: str
    interval: float
    polling: PollingPolicy


BUSY = Manner(
    name="busy",
    interval=0.0,
    polling=PollingPolicy(interval=0.001, max_interval=0.001, polls_per_second=1e6, max_open_polls=_SLOTS),
)
SPREAD = Manner(
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
        """How many requests ours sent; the floor sends 19."""
        return self.sent.total() / self.jobs / len(self.rounds["ours"])


async def ours(session: Session, bodies: Iterable[dict[str, Any]]) -> int:
    """Run jobs the way a user runs many; how many succeeded."""
    outcomes = session.map(ModelRequest(ENDPOINT, body) for body in bodies)
    return sum([outcome.result is not None async for outcome in outcomes])


async def play(meter: Meter, manner: Manner, shop: Shop, gauge: Gauge = lambda _: nullcontext()) -> None:
    """One round: ours, then both floors."""
    bodies = [{"seed": number} for number in range(meter.jobs)]
    before = counts(shop.url)
    async with Session(shop.api_key, base_url=shop.url, in_flight=_SLOTS, polling=manner.polling) as session:
        await meter.take("ours", ours(session, bodies), gauge)
    meter.sent += counts(shop.url) - before
    for name, handshake in _FLOORS.items():
        before = counts(shop.url)
        async with floor(shop, handshake=handshake) as least:
            await meter.take(name, least.run(bodies, _SLOTS, QUESTIONS), gauge)
        sent = counts(shop.url) - before
        if sent != Counter(submit=meter.jobs, query=meter.jobs * QUESTIONS):
            raise SystemExit(f"{name} sent {sent}")


def rounds(jobs: int, manner: Manner, number: int, gauge: Gauge = lambda _: nullcontext()) -> Meter:
    """Play rounds in one manner."""
    meter = Meter(jobs)
    with bare_process(QUESTIONS) as url:
        shop = Shop(url=url, api_key="f" * 32, interval=manner.interval)
        for _ in range(number):
            asyncio.run(play(meter, manner, shop, gauge))
    return meter


# --- where it goes ---------------------------------------------------------------------------------------------------


def spent_by_room(profile: cProfile.Profile) -> Counter[str]:
    """Own time, in seconds, by room of ours or by library; what is written in C counts for its caller."""
    profile.create_stats()
    rooms: Counter[str] = Counter()
    for (path, _, name), (_, _, own, _, callers) in profile.stats.items():
        if path == "~":
            for (caller, _, _), times in callers.items():
                rooms[_room(caller, name)] += times[2]
        else:
            rooms[_room(path, name)] += own
    return rooms


def _room(path: str, name: str) -> str:
    """Where a function lives; generated methods live where their class does."""
    if "_socket." in name or "select." in name:
        return "system calls"
    found = re.search(r"(rh_async)[./](\w+)|site-packages/(\w+)|python3\.\d+/(?!site-)(\w+)|generated \w+ (\w+)", path)
    if found is None:
        return "other"
    return ".".join(filter(None, found.groups()))


def beyond_the_floor(jobs: int) -> dict[str, float]:
    """What share of what ours spends beyond the floor goes to each room, in percent, by one profiled round."""
    profiles = {name: cProfile.Profile(process_time) for name in ("ours", *_FLOORS)}
    rounds(jobs, SPREAD, 1, profiles.__getitem__)
    mine, least = (spent_by_room(profiles[name]) for name in ("ours", "floor"))
    whole = mine.total() - least.total()
    more = {room: 100 * (mine[room] - least[room]) / whole for room in {*mine, *least}}
    return {room: share for room, share in sorted(more.items(), key=lambda one: -one[1]) if abs(share) >= 1}


def compared(meter: Meter, manner: Manner) -> list[Row]:
    """What each client's job costs, ours beside the floors'."""
    mine = meter.least("ours")
    ratios = {f"ratio_to_{name}": mine / meter.least(name) for name in _FLOORS}
    bars = BARS if manner is SPREAD else {}
    figures = {"cpu_ms_per_job": mine, **ratios, "requests_per_job": meter.requests_per_job()}
    rows = [Row(scenario=manner.name, client="rh_async", figures=figures, bars=bars)]
    return rows + [
        Row(scenario=manner.name, client=name, figures={"cpu_ms_per_job": meter.least(name)}) for name in _FLOORS
    ]


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    jobs, number = (50, 3) if quick else (100, 20)
    rows = [row for manner in (SPREAD, BUSY) for row in compared(rounds(jobs, manner, number), manner)]
    rows += [
        Row(scenario="of what ours spends beyond the floor", client=room, figures={"percent": share})
        for room, share in beyond_the_floor(jobs).items()
    ]
    return tabulate("overhead", rows, keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
