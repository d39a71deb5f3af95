"""Many results are saved at once into one output folder: no two share a file, whatever the template."""

from __future__ import annotations

import json
from pathlib import Path

from rh_async.batch import OutputNaming
from rh_async.emulator import Emulator
from tests.batch.running import lines, product, run, states


async def test_results_that_end_together_and_share_a_name_are_all_saved(stock: Path, tmp_path: Path) -> None:
    async with Emulator(seed=1, run_time=100.0) as server:
        outcomes = await run(server, tmp_path, await product(stock), naming=OutputNaming("same.mp4"))
        assert states(outcomes) == {"saved": 9}
        assert len(server.ledger.downloads) == 9
    paths = {path for outcome in outcomes for path in outcome.paths}
    assert len(paths) == 9
    task_ids = {json.loads(path.with_name(f"{path.name}.json").read_text())["task_id"] for path in paths}
    assert task_ids == {line["task_id"] for line in lines(tmp_path)}
