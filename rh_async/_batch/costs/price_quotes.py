"""Queries the server's own prices, once per price group: the price list is one site's, and may be old."""

from __future__ import annotations

from collections.abc import Hashable
from decimal import ROUND_UP, Decimal

import anyio
from attrs import define, field, frozen

from rh_async._batch.planning.plan import Entry
from rh_async._batch.session_port import SessionPort
from rh_async.errors import AuthenticationFailed, BalanceExhausted, RateLimited, RHError, TransportError
from rh_async.models.prices import Price

_FINEST = Decimal("0.000001")
_RAISED = (TransportError, RateLimited, AuthenticationFailed, BalanceExhausted)
"""Errors that say nothing about the price: the caller waits and repeats the query, or stops."""


@frozen
class _Answer:
    """What the server answered about one entry.

    :param quoted: its price, None if the server has none.  :param listed: the list's price of the same entry.
    """

    quoted: Price | None
    listed: Decimal | None


@define(eq=False)
class PriceQuotes:
    """The server's own prices.

    A price query takes the body of a submit, so that its files must be uploaded first. Therefore one entry of each
    price group is queried, the first that is to be submitted, and the others follow in proportion to the list. A price
    group is a model and what the list asks per unit (mostly the started second); an entry without a list price is a
    group of its own. Querying every entry was rejected: it would upload thousands of files before the first is paid.

    :ivar no_quote_reason: why the server named no price, the last time that it did not; "" where it always has.
    """

    _port: SessionPort
    no_quote_reason: str = field(default="", init=False)
    _answers: dict[Hashable, _Answer] = field(factory=dict, init=False)
    _querying: anyio.Lock = field(factory=anyio.Lock, init=False)  #: many workers start at once: one query per group

    def known(self, entry: Entry) -> Price | None:
        """Return the server's price of an entry, as far as it was queried.

        It is rounded up: a price that is too low by a rounding would let the budget be exceeded.
        """
        answer = self._answers.get(price_group(entry))
        if answer is None or answer.quoted is None:
            return None
        listed = None if entry.price is None else entry.price.amount
        if not answer.listed or listed is None or listed == answer.listed:
            return answer.quoted
        amount = answer.quoted.amount * listed / answer.listed
        return Price(amount.quantize(_FINEST, rounding=ROUND_UP).normalize() + Decimal("0.00"), answer.quoted.currency)

    async def price(self, entry: Entry) -> Price | None:
        """Return the server's price of an entry, None if it has none; each price group is queried once.

        :raises RHError: no price could be learnt, because of the network or the account.
        """
        async with self._querying:
            if (group := price_group(entry)) not in self._answers:
                listed = None if entry.price is None else entry.price.amount
                self._answers[group] = _Answer(await self._query(entry), listed)
        return self.known(entry)

    async def _query(self, entry: Entry) -> Price | None:
        assert entry.request is not None  # noqa: S101 - for the type checker: it is ready
        try:
            quote = await self._port.price(entry.request)
        except _RAISED:
            raise
        except RHError as error:
            self.no_quote_reason = error.message
            return None
        if not quote.amount.is_finite() or quote.amount < 0:
            self.no_quote_reason = "its price is no amount"
            return None
        return Price(quote.amount, quote.currency)


def price_group(entry: Entry) -> Hashable:
    """Return what entries have in common whose prices are in proportion to the list."""
    if entry.request is None or entry.price is None:
        return entry.number
    each = entry.price.amount if entry.price.each is None else entry.price.each
    return entry.request.endpoint, each, entry.price.currency
