"""Query the account, ask for a price, cancel a task: the calls that neither submit a job nor poll it."""

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

_CANCEL_QUERY_WAITS = (0.0, 1.0, 3.0)
"""Seconds before each query after a cancellation: the server may take a moment to act (contract 9)."""


@define(eq=False, repr=False)
class AccountApi:
    """Makes the account calls of one session."""

    _transport: Transport
    _poller: Poller

    async def account(self) -> Account:
        """Query the account: key type, limit, tasks and wallet. Not every key can read the queue counters too.

        :raises RHError: the key is refused, or the server did not answer.
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
        """Ask the server what a submit of a request with this body would cost.

        :raises ApiError: the server has no price for it, or rejects it.
        :raises RHError: the server did not answer.
        """
        family = request.task_family
        call = family.encode_price(self._transport.api_key, request.endpoint, body)
        return await self._transport.with_retries(partial(self._transport.send, call, family.decode_price))

    async def cancel(self, task_id: TaskId) -> Snapshot:
        """Cancel a task, then query its status: the server may refuse, or the task may have settled already.

        :raises NotFound: the server does not know the task.
        :raises RHError: the server did not answer.
        """
        family = self._poller.family(task_id)
        call = family.encode_cancel(self._transport.api_key, task_id)
        await self._transport.with_retries(partial(self._transport.send, call, family.decode_cancel))
        snapshot: Snapshot | None = None
        for wait in _CANCEL_QUERY_WAITS:
            await anyio.sleep(wait)
            snapshot = await self._transport.with_retries(partial(self._poller.get_status, task_id, family))
            if snapshot.settled:
                break
        assert snapshot is not None  # noqa: S101 - for the type checker: there is a first wait
        return snapshot
