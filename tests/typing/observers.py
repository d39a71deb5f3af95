"""Events and errors: every event is distinguished, and every error says whether money may be gone."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never, assert_type

from rh_async import RHError, Session, Snapshot, SubmitUnknown
from rh_async.emulator import Emulator
from rh_async.events import (
    Changed,
    Downloading,
    Event,
    Flawed,
    Saved,
    Settled,
    Submitted,
    Uploaded,
    Uploading,
    Waiting,
    Warned,
)


def show(event: Event) -> str:
    match event:
        case Uploading() | Downloading():
            return f"{event.bytes} of {event.total}"
        case Uploaded(path=path):
            return assert_type(path, Path).name
        case Changed(snapshot=snapshot):
            return assert_type(snapshot, Snapshot).status
        case Settled(error=error):
            return str(assert_type(error, RHError | None))
        case Submitted() | Flawed() | Saved():
            return event.task_id
        case Waiting(reason=reason) | Warned(code=reason):
            return reason
        case _:
            assert_never(event)


def may_retry_for_free(error: RHError) -> bool:
    if isinstance(error, SubmitUnknown):
        assert_type(error.key, str | None)
    return assert_type(error.retryable, bool) and not assert_type(error.maybe_billed, bool)


async def against_the_emulator() -> None:
    async with Emulator(seed=1, scale=0.001) as server:
        assert_type(server, Emulator)
        async with Session(server.api_key, base_url=server.url, on_event=show) as session:
            assert_type(session, Session)
