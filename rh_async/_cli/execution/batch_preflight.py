"""What a run would buy, said before it is paid: the server's own price, the balance, the budget; and the question."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.text import Text

from rh_async import Account
from rh_async._cli.exit_codes import Interrupted
from rh_async._cli.output.fields import amounts as wallet
from rh_async._cli.output.fields import printable
from rh_async._cli.output.plan_report import amounts, counted
from rh_async._cli.output.reporter import Reporter

if TYPE_CHECKING:
    from rh_async._cli.options.batch_options import BatchRunOptions
    from rh_async.batch import Batch, Estimate


async def offer(batch: Batch, running: BatchRunOptions, reporter: Reporter) -> None:
    """Say what is left to buy, what it costs and what the account has; at a terminal, ask whether to run.

    Where nobody sits at a terminal, nobody is asked: a script says what it wants by running the command.

    :raises Interrupted: the answer was no; nothing was bought.
    """
    with reporter.busy("Asking the server for its prices …"):
        estimate = await batch.estimate()
    reporter.say(*(_fact(name, fact) for name, fact in _facts(estimate, running.budget)))
    reporter.event("estimate", **_event(estimate))
    if estimate.jobs and not running.yes and not await reporter.agreed("Run? [y/N] "):
        raise Interrupted("not run, as answered; nothing was bought")


def _facts(estimate: Estimate, budget: Decimal | None) -> Iterator[tuple[str, str]]:
    if not estimate.jobs:
        yield "to buy", "nothing: every job was bought before"
        return
    yield "to buy", f"{counted(estimate.jobs, 'job')} for {_price(estimate)}"
    if estimate.untold and estimate.by_list + estimate.unpriced:
        yield "", f"the server does not tell every price: {estimate.untold}"
    if budget is not None:
        yield "budget", f"{estimate.currency} {budget:,.2f}".strip()
    yield "balance", "not told" if estimate.account is None else _balance(estimate, estimate.account)


def _price(estimate: Estimate) -> str:
    """The price, and whose it is."""
    total = amounts(estimate.total) or "a price nobody tells"
    if estimate.by_list + estimate.unpriced == 0:
        return f"{total} by the server"
    said = [f"{counted(estimate.by_list, 'job')} by the list alone"] if estimate.by_list else []
    said += [f"{counted(estimate.unpriced, 'job')} without a price"] if estimate.unpriced else []
    return f"{total}, {', '.join(said)}"


def _balance(estimate: Estimate, account: Account) -> str:
    """What the account has, and whether that is less than the price."""
    told = wallet(account.money, account.currency, account.coins or None)
    price = estimate.total.get(account.currency or "")
    if account.money is None or price is None or account.money >= price:
        return told
    return f"{told}: below the price by {price - account.money:,.2f}; what it does not cover is not started"


def _event(estimate: Estimate) -> dict[str, object]:
    account = estimate.account or Account()
    return {
        "jobs": estimate.jobs,
        "total": {currency: str(amount) for currency, amount in estimate.total.items()},
        "by_list": estimate.by_list,
        "unpriced": estimate.unpriced,
        "currency": estimate.currency,
        "balance": account.money,
        "balance_currency": account.currency,
    }


def _fact(name: str, fact: str) -> Text:
    return Text.assemble((f"{name:<10}", "bold"), printable(fact))
