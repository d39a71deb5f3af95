"""The clock that commands measure by."""

from __future__ import annotations

import asyncio


def now() -> float:
    """The running loop's time, in seconds; also where no task runs: signals and crashes are told in callbacks."""
    return asyncio.get_running_loop().time()
