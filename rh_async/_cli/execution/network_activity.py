"""What passes between a batch and the server, so far as it tells silence from having nothing to say."""

from __future__ import annotations

from rh_async._http.transport import TraceConfig

from .stall_monitor import StallMonitor


def request_tracing(stall_monitor: StallMonitor) -> TraceConfig:
    """Let a hush know what is asked and what is answered, by whatever call: jobs that only run make no events."""

    async def asked(*_: object) -> None:
        stall_monitor.expect()

    async def answered(*_: object) -> None:
        stall_monitor.rest()

    trace = TraceConfig()
    trace.on_request_start.append(asked)
    trace.on_request_end.append(answered)
    return trace
