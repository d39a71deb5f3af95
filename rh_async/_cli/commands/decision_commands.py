"""``rh-async confirm`` and ``discard``: decide about a submission whose response was lost.

The server may have accepted it, so it is never sent again on its own (rule 1): a person looks for the task in the
console's call record, and says here whether it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from rh_async import Session
from rh_async._cli.execution.job_lookup import last_attempt
from rh_async._cli.exit_codes import ExitCode, UsageError
from rh_async._cli.options.connection import BaseUrl, Connection
from rh_async._cli.options.journal_options import JournalFile, JournalPath
from rh_async._cli.output.resubmit_command import resubmit_command
from rh_async._cli.terminal.fields import make_console, printable
from rh_async._journal.reader import Row
from rh_async.journal import SubmissionState

from .task_commands import Task, call

Key = Annotated[str, Parameter(name="KEY", help="the job's key, as rh-async jobs shows it; its beginning will do.")]


async def confirm(key: Key, task_id: Task, /, *, journal: JournalPath = None, base_url: BaseUrl = None) -> int:
    """Record the task that an unconfirmed submission became; ``rh-async resume`` then fetches it."""
    connection, journal_file = Connection(base_url), JournalFile(journal)
    path, row = await _unconfirmed(key, connection, journal_file)
    resume = connection.command("resume", *journal_file.arguments)
    await _decide(connection, path, lambda session: session.recovery.confirm(row.record.key, task_id=task_id))
    _print_lines(f"{row.record.key} is task {task_id}; this watches and saves it:", resume)
    return ExitCode.SUCCESS


async def discard(key: Key, /, *, journal: JournalPath = None, base_url: BaseUrl = None) -> int:
    """Give up an unconfirmed submission, so that its key may be submitted again; name the command that does so."""
    connection, journal_file = Connection(base_url), JournalFile(journal)
    path, row = await _unconfirmed(key, connection, journal_file)
    await _decide(connection, path, lambda session: session.recovery.discard(row.record.key))
    given_up = f"{row.record.key} is discarded; if the server accepted it all the same, it is billed and not fetched"
    command = resubmit_command(row.record, connection, journal_file)
    if command is not None:
        _print_lines(given_up, "Nothing was submitted now; this submits it anew:", command)
    else:
        retype = "Nothing was submitted now; the command that asked for it submits it anew. Its inputs:"
        _print_lines(given_up, retype, row.record.inputs)
    return ExitCode.SUCCESS


async def _unconfirmed(key: str, connection: Connection, journal_file: JournalFile) -> tuple[Path, Row]:
    """Find the job in the journal; whether its state allows a decision is the session's to say.

    :raises UsageError: there is no such job, or it is being sent.
    """
    path = await asyncio.to_thread(journal_file.prepare)
    row = await asyncio.to_thread(last_attempt, key, path, connection.site)
    if row is None:
        raise UsageError(
            f"no job has the key {key!r:.80} in the journal {path} for {connection.site}: see rh-async jobs"
        )
    if row.record.state is SubmissionState.SUBMITTING:
        first = connection.command("resume", *journal_file.arguments)
        reason = (
            "another command is sending it now"
            if row.carried
            else f"its process ended while it was sent; first: {first}"
        )
        raise UsageError(f"{row.record.key} cannot be decided about yet: {reason}")
    return path, row


async def _decide(connection: Connection, journal: Path, decision: Callable[[Session], Awaitable[object]]) -> None:
    # Confirming attaches a job to the task; it is not awaited here, `rh-async resume` is for that.
    await call(connection, decision, lambda: "it may have been decided already: see rh-async jobs", journal=journal)


def _print_lines(*lines: str) -> None:
    for line in lines:
        make_console().print(Text(printable(line)), soft_wrap=True)
