"""Asks the server what the entries of a plan cost, once per kind: the list's prices are one site's, and may be old."""

from __future__ import annotations

from collections.abc import Hashable
from decimal import ROUND_UP, Decimal

import anyio
from attrs import define, field, frozen

from rh_async._batch.planning.plan import Entry
from rh_async._batch.running.session_port import SessionPort
from rh_async.errors import AuthenticationFailed, BalanceExhausted, RateLimited, RHError, TransportError
from rh_async.models.prices import Price

_FINEST = Decimal("0.000001")
_RAISED = (TransportError, RateLimited, AuthenticationFailed, BalanceExhausted)
"""What tells nothing about prices: whoever asks waits, or stops."""


@frozen
class _Answer:
    """What the server said of one entry.

    :param said: its price, None if the server has none.  :param listed: the list's price of the same entry.
    """

    said: Price | None
    listed: Decimal | None


@define(eq=False)
class PriceQuotes:
    """The server's own prices.

    Asking takes the body of a submit, so that its files must go up. Therefore one entry of each kind is asked about,
    the first that is to be bought, and the others of its kind follow in proportion to the list: a kind is a model and
    what the list asks per unit (mostly the started second). An entry without a list price is a kind of its own.
    Asking about every entry was rejected: it would bring thousands of files up before the first is paid for.

    :ivar untold: why the server told no price, the last time that it did not; "" where it always has.
    """

    _port: SessionPort
    untold: str = field(default="", init=False)
    _answers: dict[Hashable, _Answer] = field(factory=dict, init=False)
    _asking: anyio.Lock = field(factory=anyio.Lock, init=False)

    def known(self, entry: Entry) -> Price | None:
        """What the server asks for an entry, as far as it was asked."""
        answer = self._answers.get(kind_of(entry))
        if answer is None or answer.said is None:
            return None
        listed = None if entry.price is None else entry.price.amount
        if not answer.listed or listed is None or listed == answer.listed:
            return answer.said
        amount = answer.said.amount * listed / answer.listed
        return Price(amount.quantize(_FINEST, rounding=ROUND_UP).normalize() + Decimal("0.00"), answer.said.currency)

    async def price(self, entry: Entry) -> Price | None:
        """What the server asks for an entry; None if it has no price for it. It is asked once.

        :raises RHError: nothing could be learnt, over the network or the account.
        """
        async with self._asking:
            if (kind := kind_of(entry)) not in self._answers:
                listed = None if entry.price is None else entry.price.amount
                self._answers[kind] = _Answer(await self._asked(entry), listed)
        return self.known(entry)

    async def _asked(self, entry: Entry) -> Price | None:
        assert entry.request is not None  # noqa: S101 - for the type checker: it is ready
        try:
            said = await self._port.price(entry.request)
        except _RAISED:
            raise
        except RHError as error:
            self.untold = error.message
            return None
        if not said.amount.is_finite() or said.amount < 0:
            self.untold = "its price is no amount"
            return None
        return Price(said.amount, said.currency)


def kind_of(entry: Entry) -> Hashable:
    """What entries share that the server prices alike."""
    if entry.request is None or entry.price is None:
        return entry.number
    each = entry.price.amount if entry.price.each is None else entry.price.each
    return entry.request.endpoint, each, entry.price.currency
