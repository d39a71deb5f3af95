"""A local RunningHub server for tests and demonstrations, built from the contract and independent of any client.

Point any client at ``server.url`` with ``server.api_key``, then read in ``server.ledger`` what the server received::

    async with Emulator(seed=1) as server:
        async with Session(server.api_key, base_url=server.url) as session:
            await session.run(request)
        assert server.ledger.total_charged == Decimal("4.05")

Schedule faults with ``server.faults.add(Fault("drop_after_accept", nth=3))``; :data:`FAULT_KINDS` lists the kinds.
``Emulator(rate_limit=20)`` rejects calls above twenty per second, and the ledger records them.

Times are the running loop's clock and random numbers come from the seed, so that a test under virtual time repeats
itself.

The package is divided by stages: ``listener`` accepts connections, ``http`` receives requests and responds, ``faults``
decides which requests go wrong, ``state`` holds the account with its tasks and files, ``catalogue`` holds the models
and their prices, and ``outputs`` creates the files that tasks deliver. ``server`` connects them.
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
