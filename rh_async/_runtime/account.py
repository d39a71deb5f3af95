"""What the account says of itself, and stopping a task: the calls that are neither a job's way nor its status."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import anyio
from attrs import define, evolve

from rh_async._api.endpoints import decode_account, decode_queue_status, encode_account, encode_queue_status
from rh_async._api.standard_tasks import PriceQuote
from rh_async._http.transport import Transport
from rh_async._polling.poller import Poller
from rh_async.errors import ApiError, InvalidResponse, TransportError
from rh_async.models.base import Request
from rh_async.types import Account, Snapshot, TaskId

_TRUTH_WAITS = (0.0, 1.0, 3.0)
"""When the truth is asked after a cancellation, in seconds: the server may take a moment to act."""


@define(eq=False, repr=False)
class AccountApi:
    """The account's side of one session."""

    _transport: Transport
    _poller: Poller

    async def account(self) -> Account:
        """Key type, limit, tasks and wallet; the queue's counts are a bonus that not every key can read.

        :raises RHError: the key is refused, or the server cannot be asked.
        """
        call = encode_account(self._transport.api_key)
        wallet = await self._transport.with_retries(partial(self._transport.send, call, decode_account))
        try:
            queue = await self._transport.send(encode_queue_status(), decode_queue_status)
        except (ApiError, TransportError, InvalidResponse):
            return wallet
        return evolve(
            wallet,
            key_type=wallet.key_type or queue.key_type,
            limit=queue.limit,
            running=wallet.running if queue.running is None else queue.running,
            queued=queue.queued,
        )

    async def price(self, request: Request, body: Mapping[str, Any]) -> PriceQuote:
        """Ask what a submit of a request with this body would cost.

        :raises ApiError: the server has no price for it, or would not take it.
        :raises RHError: the server cannot be asked.
        """
        family = request.task_family
        call = family.encode_price(self._transport.api_key, request.endpoint, body)
        return await self._transport.with_retries(partial(self._transport.send, call, family.decode_price))

    async def cancel(self, task_id: TaskId) -> Snapshot:
        """Ask that a task be stopped, then ask what became of it: a request, never a guarantee.

        :raises NotFound: the server does not know the task.
        :raises RHError: the server cannot be asked.
        """
        family = self._poller.family(task_id)
        call = family.encode_cancel(self._transport.api_key, task_id)
        await self._transport.with_retries(partial(self._transport.send, call, family.decode_cancel))
        snapshot: Snapshot | None = None
        for wait in _TRUTH_WAITS:
            await anyio.sleep(wait)
            snapshot = await self._transport.with_retries(partial(self._poller.get_status, task_id, family))
            if snapshot.settled:
                break
        assert snapshot is not None  # noqa: S101 - for the type checker: there is a first wait
        return snapshot
