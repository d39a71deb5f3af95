"""A local RunningHub that behaves, and misbehaves on request: built from the contract, it knows no client.

Point any client at ``server.url`` with ``server.api_key``, then read ``server.ledger`` to see what really happened::

    async with Emulator(seed=1) as server:
        async with Session(server.api_key, base_url=server.url) as session:
            await session.run(request)
        assert server.ledger.total_charged == Decimal("4.05")

Schedule faults with ``server.faults.add(Fault("drop_after_accept", nth=3))``; :data:`FAULT_KINDS` lists the kinds.
``Emulator(rate_limit=20)`` refuses calls beyond twenty a second, and the ledger counts them.

Time is the running loop's clock and every draw comes from the seed, so that a test under virtual time repeats itself.
"""

from rh_async.emulator.faults.definitions import FAULT_KINDS, Fault, FaultKind, FaultSpec, RouteName
from rh_async.emulator.faults.injector import FaultInjector
from rh_async.emulator.server import Emulator
from rh_async.emulator.state.background_load import BackgroundLoad
from rh_async.emulator.state.call_rate_limit import RateLimit
from rh_async.emulator.state.ledger import (
    CallRecord,
    DownloadRecord,
    FaultRecord,
    KeyLeakRecord,
    Ledger,
    RateLimitedCallRecord,
    SubmitRecord,
    TaskRecord,
    UploadRecord,
)
from rh_async.emulator.state.task_ids import snowflake_at

__all__ = [
    "FAULT_KINDS",
    "BackgroundLoad",
    "CallRecord",
    "DownloadRecord",
    "Emulator",
    "Fault",
    "FaultInjector",
    "FaultKind",
    "FaultRecord",
    "FaultSpec",
    "KeyLeakRecord",
    "Ledger",
    "RateLimit",
    "RateLimitedCallRecord",
    "RouteName",
    "SubmitRecord",
    "TaskRecord",
    "UploadRecord",
    "snowflake_at",
]
