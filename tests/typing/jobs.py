"""What the calls for single jobs return."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import assert_type

from rh_async import (
    Account,
    Job,
    KlingMotionControl,
    ModelRequest,
    Output,
    Request,
    Result,
    RHError,
    Session,
    Snapshot,
    Statistics,
    TaskId,
    Upload,
    run,
)
from rh_async.batch import OutputNaming


async def submit(session: Session, request: Request) -> None:
    job = await session.submit(request, idempotency_key="scene-9")
    assert_type(job, Job)
    assert_type(await job, Result)
    assert_type(session.submit_nowait(request), Job)
    assert_type(await session.run(request, output_dir=Path("out")), Result)


async def open_by_call(session: Session, request: Request) -> None:
    assert_type(await session.open(), Session)
    view = session.with_options(output_dir="out", naming=OutputNaming("{clip}.mp4"), on_exit="drain", webhook_url=None)
    assert_type(view, Session)
    assert_type(await view.run(request, naming=OutputNaming("{task_id}.mp4")), Result)
    await session.aclose()


def run_without_await(session: Session, request: Request) -> None:
    assert_type(run(request, session=session, output_dir=Path("out")), Result)


async def track(session: Session, job: Job) -> None:
    assert_type(await job.accepted(), TaskId)
    assert_type(job.eta, float | None)
    assert_type(job.done, bool)
    assert_type(job.result, Result | None)
    assert_type(job.error, RHError | None)
    assert_type(job.submitted_utc, datetime | None)
    async for snapshot in job.status_updates():
        assert_type(snapshot, Snapshot)
    assert_type(await job.cancel(), Snapshot | None)
    assert_type(session.attach("2013508786110730241"), Job)
    assert_type(await session.get_status("2013508786110730241"), Snapshot)
    assert_type(await session.handle_webhook(b"{}", token="1"), Job | None)


async def use(session: Session, result: Result) -> None:
    assert_type(result.outputs, tuple[Output, ...])
    assert_type(result.paths, tuple[Path, ...])
    assert_type(result.usage.money, Decimal | None)
    assert_type(await session.save(result, "out"), tuple[Path, ...])
    assert_type(await session.upload("hero.png"), Upload)


async def read_account(session: Session) -> None:
    assert_type(await session.account(), Account)
    assert_type(session.statistics(), Statistics)


def media_of_every_kind(image: Path, upload: Upload) -> list[Request]:
    return [
        KlingMotionControl(image, "clips/dance.mp4", orientation="image"),
        KlingMotionControl(image=upload, video="https://example.com/dance.mp4"),
        ModelRequest("bytedance/dreamactor-v2", {"imageUrl": image, "videoUrl": upload}),
    ]
