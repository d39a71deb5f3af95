"""What `Session.map` yields: one class has a result, the other an error, and both can be distinguished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never, assert_type

from rh_async import DreamActor, Failed, KlingMotionControl, Outcome, Result, RHError, Session, Succeeded, TaskId
from rh_async.batch import OutcomeStream
from rh_async.errors import JobFailed


async def narrowed_by_the_error(session: Session, requests: Sequence[KlingMotionControl]) -> None:
    async for outcome in session.map(requests):
        assert_type(outcome, Succeeded[KlingMotionControl] | Failed[KlingMotionControl])
        assert_type(outcome.paths, tuple[Path, ...])
        if outcome.error is None:
            assert_type(outcome.result, Result)
        else:
            assert_type(outcome.error, RHError)


async def narrowed_by_the_class(session: Session, requests: Sequence[KlingMotionControl]) -> None:
    async for outcome in session.map(requests):
        if isinstance(outcome, Failed):
            assert_type(outcome.error, RHError)
            assert_type(outcome.result, Result | None)
        else:
            assert_type(outcome.result, Result)


def narrowed_by_a_pattern(outcome: Outcome[KlingMotionControl]) -> str:
    match outcome:
        case Succeeded(result=result):
            return assert_type(result.task_id, TaskId)
        case Failed(error=JobFailed() as error):
            return error.reason
        case Failed():
            return outcome.request.model
        case _:
            assert_never(outcome)


async def of_several_models(session: Session, requests: list[KlingMotionControl | DreamActor]) -> None:
    outcomes = session.map(requests, output_dir="out")
    assert_type(outcomes, OutcomeStream[Outcome[KlingMotionControl | DreamActor]])
    async for outcome in outcomes:
        assert_type(outcome.request, KlingMotionControl | DreamActor)
    await outcomes.aclose()
