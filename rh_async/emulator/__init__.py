"""A local RunningHub that behaves, and misbehaves on request: built from the contract, it knows no client.

Point any client at ``server.url`` with ``server.api_key``, then read ``server.ledger`` to see what really happened::

    async with Emulator(seed=1) as server:
        async with Session(server.api_key, base_url=server.url) as session:
            await session.run(request)
        assert server.ledger.money == Decimal("4.05")

What goes wrong is scripted: ``server.faults.add(Fault("drop_after_accept", nth=3))``. :data:`KINDS` lists what can.
``Emulator(rate_limit=20)`` refuses calls beyond twenty a second, and the ledger counts them.

Time is the running loop's clock and every draw comes from the seed, so that a test under virtual time repeats itself.
"""

from rh_async.emulator.faults.definitions import KINDS, Fault, Kind, RouteName, Trait
from rh_async.emulator.faults.injector import FaultPlan
from rh_async.emulator.http.call_rate_limit import RateLimit
from rh_async.emulator.server import Emulator
from rh_async.emulator.state.background_load import Strangers
from rh_async.emulator.state.ledger import (
    DownloadRecord,
    FaultRecord,
    LeakRecord,
    Ledger,
    QuestionRecord,
    RefusedCallRecord,
    SubmissionRecord,
    TaskRecord,
    UploadRecord,
)
from rh_async.emulator.state.task_ids import ids_after

__all__ = [
    "KINDS",
    "DownloadRecord",
    "Emulator",
    "Fault",
    "FaultPlan",
    "FaultRecord",
    "Kind",
    "LeakRecord",
    "Ledger",
    "QuestionRecord",
    "RateLimit",
    "RefusedCallRecord",
    "RouteName",
    "Strangers",
    "SubmissionRecord",
    "TaskRecord",
    "Trait",
    "UploadRecord",
    "ids_after",
]
