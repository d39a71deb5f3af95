"""What coming back to earlier submissions returns."""

from __future__ import annotations

from typing import assert_type

from rh_async import Job, Result, RHError, Session
from rh_async.journal import ResumeReport, SubmissionRecord, SubmissionState


async def come_back(session: Session) -> None:
    resumed = await session.recovery.resume(output_dir="out")
    assert_type(resumed, ResumeReport)
    assert_type(resumed.jobs, tuple[Job, ...])
    assert_type(resumed.saved, tuple[Result, ...])
    assert_type(resumed.failed, tuple[tuple[SubmissionRecord, RHError], ...])


async def decide(session: Session) -> None:
    for record in await session.recovery.unconfirmed():
        assert_type(record, SubmissionRecord)
        assert_type(record.state, SubmissionState)
        assert_type(await session.recovery.confirm(record.key, task_id="2013508786110730241"), Job)
    await session.recovery.discard("scene-9")


async def read(session: Session) -> None:
    assert_type(await session.find("scene-9"), SubmissionRecord | None)
    async for record in session.jobs():
        assert_type(record, SubmissionRecord)
