"""A local RunningHub that behaves, built from the documented contract and knowing nothing of the client beside it.

Point any client at ``server.url`` with ``server.api_key``, then read ``server.ledger`` to see what really happened::

    async with Emulator(seed=1) as server:
        async with Session(server.api_key, base_url=server.url) as session:
            await session.run(request)
        assert server.ledger.money == Decimal("4.05")

Time is the running loop's clock and every draw comes from the seed, so that a test under virtual time repeats itself.
"""

from rh_async.emulator._emulator import Emulator
from rh_async.emulator._ledger import (
    DownloadRecord,
    LeakRecord,
    Ledger,
    QuestionRecord,
    SubmissionRecord,
    TaskRecord,
    UploadRecord,
)

__all__ = [
    "DownloadRecord",
    "Emulator",
    "LeakRecord",
    "Ledger",
    "QuestionRecord",
    "SubmissionRecord",
    "TaskRecord",
    "UploadRecord",
]
