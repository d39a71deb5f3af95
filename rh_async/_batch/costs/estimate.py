"""What is left of a plan to be bought, and what that costs. Nothing is bought."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import anyio
from attrs import frozen

from rh_async._batch.planning.plan import Entry
from rh_async._batch.running.entry_worker import EntryWorker
from rh_async._batch.running.session_port import SessionPort
from rh_async._submission.deduplication import PriorAttempt
from rh_async.errors import RHError
from rh_async.models.prices import Price
from rh_async.types import Account

from .price_quotes import PriceQuotes, kind_of

log = logging.getLogger(__name__)

_LOOKED_AT_ONCE = 8
_MOST_KINDS = 12
_PATIENCE = 20.0  #: seconds for all prices together; they are worth a wait, and not the night


@frozen(kw_only=True)
class Estimate:
    """What would be bought now.

    :param jobs: how many.
    :param total: what they cost, by currency: as the server says where it does, else by the list.
    :param by_list: how many of them only the list prices.
    :param unpriced: how many of them have no price at all.
    :param currency: of the account, as far as it is known; else of the list.
    :param untold: why the server told no price; "" where it did.
    :param account: what the account says of itself; None where it does not, and where nothing would be bought.
    """

    jobs: int
    total: Mapping[str, Decimal]
    by_list: int
    unpriced: int
    currency: str
    untold: str = ""
    account: Account | None = None


async def to_buy(entries: Sequence[Entry], port: SessionPort, worker: EntryWorker) -> list[Entry]:
    """The entries that a run would buy, of each purchase the first. Each file is read, as a run would read it."""
    left, found = iter(entries), dict[str, Entry]()

    async def work(left: Iterator[Entry]) -> None:
        for entry in left:
            past = await _past(entry, port)
            if past is not None and worker.would_buy(past):
                first = found.get(past.key)
                found[past.key] = entry if first is None or entry.number < first.number else first

    async with anyio.create_task_group() as lookers:
        for _ in range(_LOOKED_AT_ONCE):
            lookers.start_soon(work, left)
    wanted = {entry.number for entry in found.values()}
    return [entry for entry in entries if entry.number in wanted]


async def _past(entry: Entry, port: SessionPort) -> PriorAttempt | None:
    assert entry.request is not None  # noqa: S101 - for the type checker: it is ready
    try:
        return await port.prior_attempt(entry.request, entry.key)
    except RHError:  # the run says what is wrong with it
        port.check(asking=False)
        return None


async def account_of(port: SessionPort, *, patience: float = _PATIENCE) -> Account | None:
    """What the account says of itself; None if it says nothing in time."""
    try:
        with anyio.move_on_after(patience):
            return await port.account()
    except RHError as error:
        port.check(asking=False)
        log.info("rh_async.account_untold %s", error)
    return None


async def asked(entries: Sequence[Entry], quotes: PriceQuotes) -> str:
    """Ask the server for the price of one entry of each kind; why that was given up, "" if it was not."""
    kinds = {kind_of(entry): entry for entry in reversed(entries)}
    with anyio.move_on_after(_PATIENCE):
        for entry in list(reversed(kinds.values()))[:_MOST_KINDS]:
            try:
                await quotes.price(entry)
            except RHError as error:
                return error.message
        return quotes.untold
    return f"it told none within {_PATIENCE:.0f} s"


def estimate_of(entries: Sequence[Entry], quotes: PriceQuotes, **told: Any) -> Estimate:
    """Add up what entries cost.

    :param told: what is known of the account.
    """
    total: dict[str, Decimal] = {}
    by_list = unpriced = 0
    for entry in entries:
        said = quotes.known(entry)
        price: Price | None = said or entry.price
        by_list += said is None and price is not None
        unpriced += price is None
        if price is not None:
            total[price.currency] = total.get(price.currency, Decimal()) + price.amount
    return Estimate(jobs=len(entries), total=total, by_list=by_list, unpriced=unpriced, **told)
