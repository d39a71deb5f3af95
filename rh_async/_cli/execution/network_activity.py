"""What passes between a batch and the server, so far as it tells silence from having nothing to say."""

from __future__ import annotations

from rh_async._http.transport import TraceConfig

from .stall_monitor import Hush


def heeding(hush: Hush) -> TraceConfig:
    """Let a hush know what is asked and what is answered, by whatever call: jobs that only run make no events."""

    async def asked(*_: object) -> None:
        hush.expect()

    async def answered(*_: object) -> None:
        hush.rest()

    trace = TraceConfig()
    trace.on_request_start.append(asked)
    trace.on_request_end.append(answered)
    return trace
