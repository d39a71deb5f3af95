"""``rh-async save``: save the outputs of one job, by its key or its task id."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from attrs import evolve
from cyclopts import Parameter

from rh_async import Result, Session
from rh_async._cli.execution.job_lookup import JournaledTask, find
from rh_async._cli.exit_codes import ExitCode
from rh_async._cli.options.connection import BaseUrl, Connection
from rh_async._cli.options.journal_options import JournalFile, JournalPath
from rh_async._cli.terminal.fields import format_cost, make_console, print_fields, snapshot_fields
from rh_async._journal.reader import made

from .task_commands import Name, call


async def save(
    name: Name,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path(),
    journal: JournalPath = None,
    base_url: BaseUrl = None,
) -> int:
    """Save the outputs of a job, by its key or its task id; nothing is submitted.

    :param out: a folder for the video, which is named after the task.
    """
    connection, journal_file = Connection(base_url), JournalFile(journal)
    path, folder = await asyncio.to_thread(lambda: (journal_file.prepare(), out.absolute()))
    task = await asyncio.to_thread(find, name, path, connection.site)
    command = connection.command("save", name, "-o", str(out), *journal_file.arguments)
    hint = f"a file only appears whole; once more: {command}"
    saved = await call(
        connection, lambda session: _save_outputs(session, task, folder), lambda: hint, journal=path, patient=True
    )
    if saved is None:
        resume = connection.command("resume", "-o", str(out), *journal_file.arguments)
        later = f" yet; this waits for it: {resume}" if task.row is not None and task.row.left else ""
        print_fields(make_console(), [("so", f"there is nothing to save{later}")])
        return ExitCode.FAILED
    fields = [("saved", str(out / path.name)) for path in saved.paths]
    print_fields(make_console(), [*fields, ("cost", format_cost(saved.usage))])
    return ExitCode.SUCCESS


async def _save_outputs(session: Session, task: JournaledTask, folder: Path) -> Result | None:
    """Save a task's outputs, by the journal's copy of its result or else the server's; None if it has none."""
    result = None if task.row is None else task.row.result()
    if result is None:
        snapshot = await session.get_status(task.task_id)
        result = made(snapshot, noticed_utc=datetime.now(UTC))
        if result is None:
            print_fields(make_console(), snapshot_fields(snapshot))
            return None
    return evolve(result, paths=await session.save(result, folder))
