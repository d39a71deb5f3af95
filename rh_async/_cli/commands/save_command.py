"""``rh-async save``: bring what one job has made to disk, by its key or its task id."""

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
from rh_async._cli.output.fields import about, cost, make_console, tell
from rh_async._journal.reader import made

from .task_commands import Name, asked


async def save(
    name: Name,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path(),
    journal: JournalPath = None,
    base_url: BaseUrl = None,
) -> int:
    """Save what a job has made, by its key or its task id; nothing is bought.

    :param out: a folder for the video, which is named after the task.
    """
    connection, journal_file = Connection(base_url), JournalFile(journal)
    path, folder = await asyncio.to_thread(lambda: (journal_file.made(), out.absolute()))
    found = await asyncio.to_thread(find, name, path, connection.site)
    command = connection.command("save", name, "-o", str(out), *journal_file.words)
    words = f"a file only appears whole; once more: {command}"
    saved = await asked(
        connection, lambda session: _fetched(session, found, folder), lambda: words, journal=path, patient=True
    )
    if saved is None:
        pick_up = connection.command("resume", "-o", str(out), *journal_file.words)
        later = f" yet; this waits for it: {pick_up}" if found.row is not None and found.row.left else ""
        tell(make_console(), [("so", f"there is nothing to save{later}")])
        return ExitCode.FAILED
    tell(make_console(), [*(("saved", str(out / path.name)) for path in saved.paths), ("cost", cost(saved.usage))])
    return ExitCode.SUCCESS


async def _fetched(session: Session, found: JournaledTask, folder: Path) -> Result | None:
    """Save what the journal or else the server says a task has made; None if it has made nothing."""
    result = None if found.row is None else found.row.result()
    if result is None:
        snapshot = await session.get_status(found.task_id)
        result = made(snapshot, noticed_utc=datetime.now(UTC))
        if result is None:
            tell(make_console(), about(snapshot))
            return None
    return evolve(result, paths=await session.save(result, folder))
