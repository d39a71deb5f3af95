"""What the server itself would ask, on a sample, held against the price list. Nothing is bought."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import anyio
from rich.text import Text

from rh_async import RHError, Session
from rh_async._batch import Entry, Plan

from ._batch_voice import Voice, entry_name
from ._exits import sentence
from ._facts import printable

if TYPE_CHECKING:
    from rh_async._batch import Price

_SAMPLES = 3
_PATIENCE = 20.0  #: seconds; a price is worth a wait, and not the night


async def server_prices(session: Session, plan: Plan, voice: Voice) -> None:
    """Ask for the price of one job of each model, of a few models, and say where it differs from the list."""
    by_model = {entry.request.endpoint: entry for entry in reversed(plan.ready) if entry.request is not None}
    for entry in islice(reversed(by_model.values()), _SAMPLES):
        voice.say(Text(f"          {printable(await _asked(session, entry))}"))


async def _asked(session: Session, entry: Entry) -> str:
    assert entry.request is not None  # noqa: S101 - for the type checker: what is ready has one
    name = f"{entry_name(entry)}, {entry.request.endpoint}"
    said = None
    try:
        with anyio.move_on_after(_PATIENCE):
            said = await session.price(entry.request)
    except RHError as error:
        return f"{name}: the server tells no price ({sentence(error)})"
    if said is None:
        return f"{name}: the server has told no price within {_PATIENCE:.0f} s; going on without"
    return f"{name}: {_money(said)} by the server, {_compared(said, entry.price)}"


def _compared(said: Price, listed: Price | None) -> str:
    if listed is None:
        return "and the list has none"
    if listed.currency != said.currency:
        return f"{_money(listed)} by the list, in another currency"
    return "as by the list" if listed.amount == said.amount else f"but {_money(listed)} by the list"


def _money(price: Price) -> str:
    return f"{price.currency} {price.amount:,.2f}"
