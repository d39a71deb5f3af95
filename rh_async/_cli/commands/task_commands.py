"""``rh-async status``, ``account`` and ``cancel``: short questions, given up soon, that buy nothing."""

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
from rh_async._cli.execution.stall_monitor import StallMonitor, listening
from rh_async._cli.exit_codes import ExitCode
from rh_async._cli.options.connection import BaseUrl, Connection
from rh_async._cli.options.journal_options import JournalFile, JournalPath
from rh_async._cli.output.fields import about, amounts, known, make_console, tell
from rh_async.events import Event, Waiting

T = TypeVar("T")
Name = Annotated[
    str,
    Parameter(
        name="KEY|TASK_ID", help="what rh-async jobs calls the job (its beginning will do), or what the server does."
    ),
]
Task = Annotated[str, Parameter(name="TASK_ID", help="what the server calls the job: up to 19 digits.")]

_SILENCE = 2.0
_NOTHING = "nothing was changed"


async def status(task_id: Task, /, *, base_url: BaseUrl = None) -> int:
    """Look at a task once: status, error, outputs with their links, cost."""
    snapshot = await asked(Connection(base_url), lambda session: session.get_status(task_id), lambda: _NOTHING)
    tell(make_console(), about(snapshot))
    return ExitCode.FAILED if snapshot.settled and not snapshot.succeeded else ExitCode.SUCCESS


async def account(*, base_url: BaseUrl = None) -> int:
    """Tell what the account says of itself: key type, limit, tasks, balance."""
    told = await asked(Connection(base_url), lambda session: session.account(), lambda: _NOTHING)
    tell(make_console(), _facts(told))
    return ExitCode.SUCCESS


async def cancel(name: Name, /, *, journal: JournalPath = None, base_url: BaseUrl = None) -> int:
    """Ask that a task be stopped, then tell what became of it: it may have been over already."""
    connection = Connection(base_url)
    task_id = (await asyncio.to_thread(find, name, JournalFile(journal).path, connection.site)).task_id
    doubt = f"it may have been asked already; look: {connection.status_command(task_id)}"
    snapshot = await asked(connection, lambda session: session.cancel(task_id), lambda: doubt)
    tell(make_console(), [*about(snapshot), ("so", _verdict(snapshot, connection))])
    return ExitCode.SUCCESS if snapshot.cancelled else ExitCode.FAILED


def _verdict(snapshot: Snapshot, connection: Connection) -> str:
    if snapshot.cancelled:
        return "it is cancelled"
    if snapshot.settled:
        return "it was not cancelled: it was over already"
    return f"it was asked to stop and still goes on; look again: {connection.status_command(snapshot.task_id)}"


def _facts(told: Account) -> list[tuple[str, str]]:
    return [
        ("key type", known(told.key_type)),
        ("limit", "not told" if told.limit is None else f"{told.limit} tasks at once"),
        ("running", known(told.running)),
        ("queued", known(told.queued)),
        ("balance", amounts(told.money, told.currency, told.coins)),
    ]


async def asked(
    connection: Connection,
    question: Callable[[Session], Awaitable[T]],
    interrupted: Callable[[], str],
    *,
    journal: Path | None = None,
    patient: bool = False,
) -> T:
    """Put a question, and say so when it takes long.

    :param interrupted: tells what may have been done when it is stopped.
    :param patient: whether it is worth waiting for, as something paid is.
    :raises Interrupted: it was stopped.
    :raises RHError: it was not answered.
    """
    console = Console(stderr=True, highlight=False, emoji=False)
    end = "Ctrl-C gives up" if patient else "giving up within half a minute"
    words = f"waiting for the network: no answer from {connection.address} yet; {end}"
    stall_monitor = StallMonitor(console=console, words=words, after=_SILENCE)

    def heard(event: Event) -> None:
        if isinstance(event, Waiting) and event.reason == "rate":
            stall_monitor.rest()
            console.print(f"the server asks for fewer requests; waiting {event.seconds:.0f} s", style="yellow")

    with stop_on_signals(console, stopping="closing the connection", words=interrupted):
        open_session = connection.session if patient else connection.short_session
        opened = connected(open_session(heard, journal=journal), connection.address)
        async with opened as session, listening(stall_monitor):
            return await question(session)
