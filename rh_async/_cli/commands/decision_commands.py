"""``rh-async resolve`` and ``save``: one job of the journal's, by its name, as a person decides about it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from attrs import evolve
from cyclopts import Parameter
from rich.text import Text

from rh_async import Result, Session, SubmissionState
from rh_async._cli.execution.job_lookup import JournaledTask, find, last_of_key
from rh_async._cli.exit_codes import ExitCode, UsageError
from rh_async._cli.options.connection import BaseUrl, Connection
from rh_async._cli.options.journal_options import JournalFile, JournalPath
from rh_async._cli.output.fields import about, cost, make_console, printable, tell
from rh_async._cli.output.resubmit_command import run_again
from rh_async._journal.reader import Row, made

from .task_commands import Name, asked

Key = Annotated[str, Parameter(name="KEY", help="what rh-async jobs calls the job; its beginning will do.")]


async def resolve(
    key: Key,
    /,
    *,
    task_id: str | None = None,
    abandon: Annotated[bool, Parameter(show_default=False)] = False,
    again: Annotated[bool, Parameter(show_default=False)] = False,
    journal: JournalPath = None,
    base_url: BaseUrl = None,
) -> int:
    """Say what became of an uncertain submission; nothing is bought by it.

    :param task_id: it bought this task, which the console's call record names; rh-async resume then fetches it.
    :param abandon: it bought nothing, or nobody wants it: it is given up.
    :param again: as --abandon, and tells how to buy it once more.
    """
    if [task_id is not None, abandon, again].count(True) != 1:
        raise UsageError("say one of --task-id ID, --abandon and --again")
    connection, journal_file = Connection(base_url), JournalFile(journal)
    path, row = await _uncertain(key, connection, journal_file)
    resume = connection.command("resume", *journal_file.words)

    async def decide(session: Session) -> None:
        if task_id is None:
            await session.abandon(row.record.key)
        else:
            _ = await session.resolve(row.record.key, task_id=task_id)  # watched by rh-async resume, not here

    await asked(connection, decide, lambda: "it may have been decided already: rh-async jobs tells", journal=path)
    lines = (
        _bought_again(row, run_again(row.record, connection, journal_file)) if again else _decided(row, task_id, resume)
    )
    for line in lines:
        make_console().print(Text(printable(line)), soft_wrap=True)
    return ExitCode.SUCCESS


async def _uncertain(key: str, connection: Connection, journal_file: JournalFile) -> tuple[Path, Row]:
    path = await asyncio.to_thread(journal_file.made)
    row = await asyncio.to_thread(last_of_key, key, path, connection.site)
    if row is None:
        raise UsageError(
            f"no job has the key {key!r:.80} in the journal {path} for {connection.site}: see rh-async jobs"
        )
    if row.record.state is SubmissionState.SUBMITTING:
        first = connection.command("resume", *journal_file.words)
        words = "another command is sending it now" if row.carried else f"it was left while it was sent; first: {first}"
        raise UsageError(f"{row.record.key} is not uncertain yet: {words}")
    return path, row


def _decided(row: Row, task_id: str | None, resume: str) -> list[str]:
    if task_id is not None:
        return [f"{row.record.key} bought task {task_id}; this watches and saves it:", resume]
    return [_given_up(row), "The same command would buy it anew."]


def _bought_again(row: Row, command: str | None) -> list[str]:
    if command is not None:
        return [_given_up(row), "Nothing was bought now; this buys it anew:", command]
    retype = "Nothing was bought now; the command that asked for it buys it anew. It was given:"
    return [_given_up(row), retype, row.record.inputs]


def _given_up(row: Row) -> str:
    return f"{row.record.key} is given up; if the server accepted it all the same, it is paid for and nobody fetches it"


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
