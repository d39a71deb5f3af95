"""Slots are occupied as long as entries wait: the quick form of ``python -m benchmarks.batch``."""

from __future__ import annotations

from pathlib import Path

from rh_async.emulator import Emulator
from tests.batch.makers import paint
from tests.batch.running import each_file_was_uploaded_once, long_runs, many, occupied, opened, states


async def test_a_hundred_and_fifty_jobs_keep_twenty_five_slots_full_from_five_files(tmp_path: Path) -> None:
    files = [paint(tmp_path / f"{number}.png", size=(300 + number, 400)) for number in range(5)]
    async with Emulator(seed=1, limit=25, run_time=long_runs) as server:
        async with opened(server, tmp_path, in_flight=25) as session:
            outcomes = [outcome async for outcome in session.batch(many(files, 150), tmp_path / "out")]
        assert states(outcomes) == {"saved": 150}
        tasks = server.ledger.tasks
        assert len(tasks) == len(server.ledger.submissions) == 150
        assert server.ledger.peak_unsettled() <= 25
        assert occupied(tasks, 25) >= 0.985
        assert len(server.ledger.uploads) == 5
        assert each_file_was_uploaded_once(server)
