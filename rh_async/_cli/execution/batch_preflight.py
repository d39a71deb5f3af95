"""Shows what a batch would be billed before it starts: the server's own price, the balance, the budget; then asks."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from rh_async import Account
from rh_async._cli.exit_codes import Interrupted
from rh_async._cli.output.plan_report import counted, format_amounts
from rh_async._cli.output.reporter import Reporter
from rh_async._cli.terminal.fields import field_line, format_wallet

if TYPE_CHECKING:
    from rh_async._cli.options.batch_options import BatchRunOptions
    from rh_async.batch import Batch, Estimate


async def confirm_cost(batch: Batch, running: BatchRunOptions, reporter: Reporter) -> None:
    """Show what is left to submit, what it costs and what the account has; at a terminal, ask whether to run.

    Without a terminal nothing is asked: a script has decided by running the command.

    :raises Interrupted: the answer was no; nothing was submitted.
    """
    with reporter.show_status("Asking the server for its prices …"):
        estimate = await batch.estimate()
    reporter.print(*(field_line(name, value) for name, value in _fields(estimate, running.budget)))
    reporter.emit("estimate", **_event(estimate))
    if estimate.jobs and not running.yes and not await reporter.confirm("Run? [y/N] "):
        raise Interrupted("not run, as answered; nothing was submitted")


def _fields(estimate: Estimate, budget: Decimal | None) -> Iterator[tuple[str, str]]:
    if not estimate.jobs:
        yield "to submit", "nothing: every job was submitted before"
        return
    yield "to submit", f"{counted(estimate.jobs, 'job')} for {_price(estimate)}"
    if estimate.no_quote_reason and estimate.by_list + estimate.unpriced:
        yield "", f"the server does not tell every price: {estimate.no_quote_reason}"
    if budget is not None:
        yield "budget", f"{estimate.currency} {budget:,.2f}".strip()
    yield "balance", "unknown" if estimate.account is None else _balance(estimate, estimate.account)


def _price(estimate: Estimate) -> str:
    """Format the price, and where it comes from."""
    total = format_amounts(estimate.total) or "an unknown price"
    if estimate.by_list + estimate.unpriced == 0:
        return f"{total} by the server"
    sources = [f"{counted(estimate.by_list, 'job')} by the list alone"] if estimate.by_list else []
    sources += [f"{counted(estimate.unpriced, 'job')} without a price"] if estimate.unpriced else []
    return f"{total}, {', '.join(sources)}"


def _balance(estimate: Estimate, account: Account) -> str:
    """Format what the account has, and whether that is less than the price."""
    balance = format_wallet(account.money, account.currency, account.coins or None)
    price = estimate.total.get(account.currency or "")
    if account.money is None or price is None or account.money >= price:
        return balance
    return f"{balance}: below the price by {price - account.money:,.2f}; what it does not cover is not started"


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
