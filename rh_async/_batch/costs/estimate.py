"""Estimates what is left of a plan to submit, and what that costs. Nothing is submitted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal

import anyio
from attrs import frozen

from rh_async._batch.planning.plan import Entry
from rh_async._batch.session_port import PriorAttempt, SessionPort
from rh_async.errors import RHError
from rh_async.types import Account

from .price_quotes import PriceQuotes, price_group

log = logging.getLogger(__name__)

_LOOK_UPS_AT_ONCE = 8
_MOST_GROUPS = 12
_PATIENCE = 20.0  #: seconds for all prices together; a person waits for them before the batch starts


@frozen(kw_only=True)
class Estimate:
    """What would be submitted now.

    :param jobs: how many jobs.
    :param total: what they cost, by currency: as the server says where it does, else by the price list.
    :param by_list: how many of the jobs only the list prices.
    :param unpriced: how many of the jobs have no price at all.
    :param currency: the account's, as far as it is known; else the list's.
    :param no_quote_reason: why the server named no price; "" where it did.
    :param account: the account; None where it did not answer, and where nothing would be submitted.
    """

    jobs: int
    total: Mapping[str, Decimal]
    by_list: int
    unpriced: int
    currency: str
    no_quote_reason: str = ""
    account: Account | None = None


async def entries_to_submit(
    entries: Sequence[Entry], port: SessionPort, would_submit: Callable[[PriorAttempt], bool]
) -> list[Entry]:
    """Return the entries that a run would submit, of each key the first. Each file is hashed, as a run would do."""
    left, found = iter(entries), dict[str, Entry]()

    async def work(left: Iterator[Entry]) -> None:
        for entry in left:
            past = await _prior_attempt(entry, port)
            if past is not None and would_submit(past):
                first = found.get(past.key)
                found[past.key] = entry if first is None or entry.number < first.number else first

    async with anyio.create_task_group() as workers:
        for _ in range(_LOOK_UPS_AT_ONCE):
            workers.start_soon(work, left)
    wanted = {entry.number for entry in found.values()}
    return [entry for entry in entries if entry.number in wanted]


async def _prior_attempt(entry: Entry, port: SessionPort) -> PriorAttempt | None:
    assert entry.request is not None  # noqa: S101 - for the type checker: it is ready
    try:
        return await port.prior_attempt(entry.request, entry.key)
    except RHError:  # the run will say what is wrong with it
        port.check(asking=False)
        return None


async def query_account(port: SessionPort, *, patience: float = _PATIENCE) -> Account | None:
    """Query the account; return None if it does not answer in time."""
    try:
        with anyio.move_on_after(patience):
            return await port.account()
    except RHError as error:
        port.check(asking=False)
        log.info("rh_async.account_unavailable %s", error)
    return None


async def estimate_of(
    entries: Sequence[Entry], quotes: PriceQuotes, *, currency: str, account: Account | None
) -> Estimate:
    """Add up what entries cost; the server is asked first, unless the account did not even answer."""
    reason = "the account does not answer" if account is None else await _query_prices(entries, quotes)
    total: dict[str, Decimal] = {}
    by_list = unpriced = 0
    for entry in entries:
        quoted = quotes.known(entry)
        price = quoted or entry.price
        by_list += quoted is None and price is not None
        unpriced += price is None
        if price is not None:
            total[price.currency] = total.get(price.currency, Decimal()) + price.amount
    return Estimate(
        jobs=len(entries),
        total=total,
        by_list=by_list,
        unpriced=unpriced,
        currency=currency,
        no_quote_reason=reason,
        account=account,
    )


async def _query_prices(entries: Sequence[Entry], quotes: PriceQuotes) -> str:
    """Query the price of one entry of each price group; return why that was given up, "" if it was not."""
    groups = {price_group(entry): entry for entry in reversed(entries)}
    with anyio.move_on_after(_PATIENCE):
        for entry in list(reversed(groups.values()))[:_MOST_GROUPS]:
            try:
                await quotes.price(entry)
            except RHError as error:
                return error.message
        return quotes.no_quote_reason
    return f"no answer came within {_PATIENCE:.0f} s"


def list_currency(entries: Sequence[Entry]) -> str:
    """Return the currency in which the price list prices most of the entries; "" where it prices none."""
    counted = Counter(entry.price.currency for entry in entries if entry.price is not None)
    return counted.most_common(1)[0][0] if counted else ""
