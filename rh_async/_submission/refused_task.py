"""Ask about the task that a refused submit names, before the refusal is believed.

A refusal for want of capacity (421) may name a task, and whether that task then runs and is charged is not known
(contract 12.13). To believe the refusal would submit a second, paid task beside it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from rh_async.errors import NotFound, RHError
from rh_async.types import Snapshot, TaskId

_WAITS = (0.0, 5.0, 15.0)
"""Seconds before each query: at 0, 5 and 20 s. A new task may be unknown for a while."""

LONGEST_CHECK = 60.0
"""Seconds for all queries together: a session that is being closed waits for them too."""


async def query_refused_task(query: Callable[[TaskId], Awaitable[Snapshot]], task_id: TaskId) -> Snapshot:
    """Query a task until the server knows it, three times at most.

    :raises NotFound: the server did not know it at the last query either.
    :raises RHError: a query failed otherwise.
    """
    for wait in _WAITS[:-1]:
        await anyio.sleep(wait)
        try:
            return await query(task_id)
        except NotFound as error:
            if not is_unknown_task(error):
                raise
    await anyio.sleep(_WAITS[-1])
    return await query(task_id)


def is_unknown_task(error: RHError) -> bool:
    """Whether RunningHub itself says that it does not know the task; a 404 of a proxy or gateway proves nothing."""
    return isinstance(error, NotFound) and not error.code.startswith("HTTP")
