"""``rh-async status``, ``account`` and ``cancel``: one short call each, given up soon, that submits nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import Parameter
from rich.console import Console

from rh_async import Account, Session, Snapshot
from rh_async._cli.execution.first_contact import connected
from rh_async._cli.execution.job_lookup import find
from rh_async._cli.execution.signals import stop_on_signals
from rh_async._cli.exit_codes import ExitCode
from rh_async._cli.options.connection import BaseUrl, Connection
from rh_async._cli.options.journal_options import JournalFile, JournalPath
from rh_async._cli.terminal.fields import (
    format_wallet,
    make_console,
    or_unknown,
    print_fields,
    snapshot_fields,
)
from rh_async._cli.terminal.stall_monitor import StallMonitor, watch_for_stalls
from rh_async.events import Event, Waiting

T = TypeVar("T")
Name = Annotated[
    str,
    Parameter(
        name="KEY|TASK_ID",
        help="the job's key, as rh-async jobs shows it (its beginning will do), or the server's task id.",
    ),
]
Task = Annotated[str, Parameter(name="TASK_ID", help="the server's id of the task: up to 19 digits.")]

_STALL_AFTER = 2.0
_NOTHING_CHANGED = "nothing was changed"


async def status(task_id: Task, /, *, base_url: BaseUrl = None) -> int:
    """Get the status of a task once: error, outputs with their links, cost."""
    snapshot = await call(Connection(base_url), lambda session: session.get_status(task_id), lambda: _NOTHING_CHANGED)
    print_fields(make_console(), snapshot_fields(snapshot))
    return ExitCode.FAILED if snapshot.settled and not snapshot.succeeded else ExitCode.SUCCESS


async def account(*, base_url: BaseUrl = None) -> int:
    """Show key type, concurrency limit, tasks and balance of the account."""
    account = await call(Connection(base_url), lambda session: session.account(), lambda: _NOTHING_CHANGED)
    print_fields(make_console(), account_fields(account))
    return ExitCode.SUCCESS


async def cancel(name: Name, /, *, journal: JournalPath = None, base_url: BaseUrl = None) -> int:
    """Ask the server to stop a task, and show its status afterwards: it may have been over already."""
    connection = Connection(base_url)
    task_id = (await asyncio.to_thread(find, name, JournalFile(journal).path, connection.site)).task_id
    hint = f"the request may have arrived; check: {connection.status_command(task_id)}"
    snapshot = await call(connection, lambda session: session.cancel(task_id), lambda: hint)
    print_fields(make_console(), [*snapshot_fields(snapshot), ("so", cancel_result(snapshot, connection))])
    return ExitCode.SUCCESS if snapshot.cancelled else ExitCode.FAILED


def cancel_result(snapshot: Snapshot, connection: Connection) -> str:
    """Describe what a request to cancel has come to."""
    if snapshot.cancelled:
        return "it is cancelled"
    if snapshot.settled:
        return "it was not cancelled: it was over already"
    return f"it was asked to stop and still goes on; check again: {connection.status_command(snapshot.task_id)}"


def account_fields(account: Account) -> list[tuple[str, str]]:
    """List what the server says about the account."""
    return [
        ("key type", or_unknown(account.key_type)),
        ("limit", or_unknown(None if account.limit is None else f"{account.limit} tasks at once")),
        ("running", or_unknown(account.running)),
        ("queued", or_unknown(account.queued)),
        ("balance", format_wallet(account.money, account.currency, account.coins)),
    ]


async def call(
    connection: Connection,
    request: Callable[[Session], Awaitable[T]],
    interrupted: Callable[[], str],
    *,
    journal: Path | None = None,
    patient: bool = False,
) -> T:
    """Make one call in a session of its own, and print a line when it takes long.

    :param interrupted: says what may have been done, if the call is interrupted.
    :param patient: whether to wait as long as for a job: for outputs that are billed.
    :raises Interrupted: a signal stopped it.
    :raises RHError: it failed.
    """
    console = Console(stderr=True, highlight=False, emoji=False)
    end = "Ctrl-C gives up" if patient else "giving up within half a minute"
    message = f"waiting for the network: no answer from {connection.address} yet; {end}"
    stall_monitor = StallMonitor(console=console, message=message, after=_STALL_AFTER)

    def on_event(event: Event) -> None:
        if isinstance(event, Waiting) and event.reason == "rate":
            stall_monitor.pause()
            console.print(f"the server asks for fewer requests; waiting {event.seconds:.0f} s", style="yellow")

    with stop_on_signals(console, stopping="closing the connection", hint=interrupted):
        make_session = connection.session if patient else connection.short_session
        opened = connected(make_session(on_event, journal=journal), connection.address)
        async with opened as session, watch_for_stalls(stall_monitor):
            return await request(session)
