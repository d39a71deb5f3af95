"""What planning and running a folder return."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import assert_type

from rh_async import Batch, KlingMotionControl, Session, plan_folder, plan_manifest
from rh_async.batch import BatchOutcome, BatchProgress, Estimate, Plan


async def plan() -> Plan:
    assert_type(await plan_manifest("jobs.csv"), Plan)
    return await plan_folder("clips", "hero.png", make=KlingMotionControl)


async def run(session: Session, plan: Plan) -> None:
    batch = session.batch(plan, "out", budget=Decimal(20))
    assert_type(batch, Batch)
    estimate = await batch.estimate()
    assert_type(estimate, Estimate)
    assert_type(estimate.total, Mapping[str, Decimal])
    async for outcome in batch:
        assert_type(outcome, BatchOutcome)
        assert_type(outcome.paths, tuple[Path, ...])
        assert_type(batch.progress(), BatchProgress)
