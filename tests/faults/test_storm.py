"""A storm: every route fails one time in ten, in every way there is, for an hour."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rh_async import DreamActor, Outcome, PollingPolicy, Session, SubmitUnknown
from rh_async.emulator import Emulator, Fault, RouteName
from tests.faults.test_matrix import PASSING
from tests.session.conftest import Media

WANTED = 500
HOUR = 3600.0


def storm() -> Iterator[Fault]:
    """Every passing fault on every route, and on submits every ambiguous and every final one too."""
    routes: dict[RouteName, list[dict[str, Any]]] = {
        "submit": [
            *PASSING,
            *(
                {"kind": "error_code", "code": code}
                for code in "415 421 1003 1005 1007 1010 1011 1504 1520 4242".split()
            ),
            {"kind": "error_with_task"},
            {"kind": "error_with_unknown_task"},
            {"kind": "hang", "accepted": True},
        ],
        "query": [*PASSING, *({"kind": "error_code", "code": code} for code in "500 1003 1005 1010".split())],
        "upload": [*PASSING, *({"kind": "error_code", "code": code} for code in "808 1003 1011".split())],
        "download": [fault for fault in PASSING if fault["kind"] not in {"invalid_body", "oversized_body"}],
        "task": [{"kind": kind} for kind in "failed moderation unknown_status success_without_results".split()],
    }
    routes["download"] += [{"kind": "truncated_file"}, {"kind": "expired_link"}, {"kind": "redirected_link"}]
    for route, faults in routes.items():
        each = 1 - 0.9 ** (1 / len(faults))
        for fault in faults:
            yield Fault(route=route, probability=each, times=None, **{"size": 5 << 20, **fault})


async def weather(server: Emulator, seconds: float) -> None:
    """Let the storm end."""
    await asyncio.sleep(seconds)
    server.faults.clear()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_job_has_an_outcome_and_none_is_bought_twice(seed: int, media: Media, tmp_path: Path) -> None:
    requests = [DreamActor(media.images[n % 3], media.videos[n // 3 % 3]) for n in range(WANTED)]
    outcomes: list[Outcome[DreamActor]] = []
    async with Emulator(seed=seed) as server:
        server.faults.add(*storm())
        clearing = asyncio.create_task(weather(server, HOUR))
        async with Session(
            server.api_key, base_url=server.url, in_flight=20, polling=PollingPolicy(interval=40.0)
        ) as session:
            async for outcome in session.map(requests, output_dir=tmp_path):
                outcomes.append(outcome)
        clearing.cancel()
        await asyncio.gather(clearing, return_exceptions=True)
        assert _ours(asyncio.all_tasks()) == []
    ledger = server.ledger
    assert len(outcomes) == WANTED
    assert all(outcome.result or outcome.error for outcome in outcomes)
    assert len(ledger.tasks) <= WANTED
    known = [outcome.task_id for outcome in outcomes if outcome.task_id]
    assert len(set(known)) == len(known)
    unknown = [outcome for outcome in outcomes if isinstance(outcome.error, SubmitUnknown)]
    ambiguous = Counter(fault.kind for fault in ledger.faults if fault.ambiguous)
    assert 0 < len(unknown) <= ambiguous.total()
    # Whatever was bought is either in the caller's hands or stands behind a SubmitUnknown and an ambiguous fault.
    orphans = {task.task_id for task in ledger.tasks} - set(known)
    assert len(orphans) <= len(unknown)
    assert orphans <= {fault.task_id for fault in ledger.faults if fault.ambiguous}
    assert len(ledger.faults) > WANTED / 4
    assert ledger.key_leaks == []
    saved = {path.name for path in tmp_path.iterdir()}
    assert saved == {f"{outcome.task_id}_0.mp4" for outcome in outcomes if outcome.result and outcome.result.paths}


def _ours(tasks: set[asyncio.Task[Any]]) -> list[str]:
    return [repr(task) for task in tasks if "rh_async/_" in repr(task.get_coro()) or "services" in task.get_name()]
