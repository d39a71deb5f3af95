"""A batch writes into its folder what the golden file holds, and goes on from what an earlier version wrote."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from rh_async import SubmitUnknown
from rh_async.batch import BatchOutcome
from rh_async.emulator import Emulator
from rh_async.errors import ContentRejected, JobFailed
from tests.guards.batch_runs import first_run, lines, normalise, run
from tests.guards.frozen_files import BATCHES, restore_batch
from tests.guards.golden import compare
from tests.guards.write_frozen import SEED


@pytest.fixture
async def server() -> AsyncIterator[Emulator]:
    async with Emulator(seed=SEED, run_time=20.0, task_ids_above=3 * 10**18) as server:  # no id is a frozen one
        yield server


async def test_every_state_is_written_with_the_keys_and_values_of_the_golden_file(
    server: Emulator, tmp_path: Path
) -> None:
    await first_run(server, tmp_path)
    log = tmp_path / "out" / "batch.jsonl"
    kept = [line for line in log.read_text().splitlines(keepends=True) if json.loads(line)["number"] != 1]
    log.write_text("".join(kept))  # as if the run had been killed before it wrote the first line
    first = lines(tmp_path)
    await run(server, tmp_path)
    both = [*sorted(first, key=_number), *sorted(lines(tmp_path)[len(first) :], key=_number)]
    assert {line["state"] for line in both} == set(get_args(get_type_hints(BatchOutcome)["state"]))
    compare("batch.jsonl.txt", normalise("\n".join(json.dumps(line, indent=1) for line in both), tmp_path))
    compare("sidecar.json.txt", normalise((tmp_path / "out" / "1.mp4.json").read_text(), tmp_path))


def _number(line: dict[str, int]) -> int:
    return line["number"]


@pytest.mark.parametrize("frozen", BATCHES, ids=lambda path: path.name)
async def test_a_batch_of_an_earlier_version_continues_and_buys_only_what_was_never_bought(
    frozen: Path, server: Emulator, tmp_path: Path
) -> None:
    await restore_batch(frozen, server, tmp_path)
    submitted, before = len(server.ledger.submissions), lines(tmp_path)
    outcomes = {outcome.entry.number: outcome for outcome in await run(server, tmp_path)}
    submits = [record.body["imageUrl"] for record in server.ledger.submissions[submitted:]]
    assert submits == ["https://example.test/hero7.png", "https://example.test/hero8.png"]
    assert [outcomes[number].paths for number in (1, 2)] == [(tmp_path / "out" / f"{number}.mp4",) for number in (1, 2)]
    assert [type(outcomes[number].error) for number in (3, 4, 5)] == [JobFailed, ContentRejected, SubmitUnknown]
    assert [outcomes[number].error for number in (1, 2, 6, 7, 8)] == [None] * 5
    after = lines(tmp_path)
    assert after[: len(before)] == before
    assert sorted(line["number"] for line in after[len(before) :]) == [
        6,
        7,
        8,
    ]  # what the log has is not repeated
    assert sorted(path.name for path in (tmp_path / "out").glob("*.mp4")) == [f"{n}.mp4" for n in (1, 2, 6, 7, 8)]
    assert [record.status for record in server.ledger.downloads].count(200) == 3
