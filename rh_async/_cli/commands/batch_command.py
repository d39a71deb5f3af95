"""``rh-async batch``: a folder of clips or a manifest, planned and priced before anything is sent, then run."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from rh_async._cli.execution.batch_session import run_plan
from rh_async._cli.execution.journal_check import unknown_jobs_warning, with_used_keys
from rh_async._cli.execution.plan_request import make_plan
from rh_async._cli.exit_codes import ExitCode, Interrupted, UsageError
from rh_async._cli.options.batch_model_options import BatchModelOptions
from rh_async._cli.options.batch_options import BatchCommand, BatchRunOptions
from rh_async._cli.options.batch_sources import SourceOptions
from rh_async._cli.options.connection import Connection, site_of
from rh_async._cli.options.manifest_columns import explain_columns
from rh_async._cli.options.prerequisites import need_folder
from rh_async._cli.output.plan_report import as_event, report
from rh_async._cli.output.report_file import write_report
from rh_async._cli.output.reporter import Reporter
from rh_async._cli.terminal.fields import field_line, printable
from rh_async.batch import Plan


async def batch(
    clips: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    *,
    sources: SourceOptions | None = None,
    options: BatchModelOptions | None = None,
    running: BatchRunOptions | None = None,
) -> int:
    """Make a video of every clip.

    :param clips: driving videos: files, folders, patterns.
    """
    if sources is not None and sources.manifest_columns:
        Reporter.for_process(json=False).print(
            *await asyncio.to_thread(explain_columns, (options or BatchModelOptions()).model)
        )
        return ExitCode.SUCCESS
    command = BatchCommand(
        clips, sources or SourceOptions(), options or BatchModelOptions(), running or BatchRunOptions()
    )
    return await perform(command, Reporter.for_process(json=command.running.json))


async def perform(command: BatchCommand, reporter: Reporter) -> ExitCode:
    """Make the plan, print it, and run it unless it was only to be checked.

    :raises UsageError: it cannot be run as it was given; nothing was sent.
    :raises Interrupted: a signal or an answer stopped it.
    :raises RHError: it could not be begun.
    """
    connection = None if command.running.check else Connection(command.running.base_url)
    plan = await _check_keys(await make_plan(command, reporter.live_view), command.running)
    reporter.print(*report(plan))
    reporter.emit("plan", **as_event(plan))
    if command.running.report is not None:
        written = await asyncio.to_thread(write_report, plan, command.running.report)
        reporter.print(field_line("report", written))
    if connection is None:
        return ExitCode.SUCCESS if plan.is_valid else ExitCode.USAGE_ERROR
    _check_ready(plan, skip_refused=command.running.skip_refused)
    await asyncio.to_thread(need_folder, command.running.out)
    await _check_journal(command.running, connection.site, reporter)
    return await run_plan(plan, command.running, connection, reporter)


async def _check_keys(plan: Plan, running: BatchRunOptions) -> Plan:
    """Compare the keys of a plan that is only checked with the journal; a run does so by itself, job by job."""
    if not running.check or running.journal_file is None:
        return plan
    return await asyncio.to_thread(with_used_keys, plan, running.journal_file.path, site_of(running.base_url))


async def _check_journal(running: BatchRunOptions, site: str, reporter: Reporter) -> None:
    """Stop before a new journal makes a folder's jobs billed twice: ask at a terminal, else refuse."""
    if running.journal_file is None or running.new_journal:
        return
    warning = await asyncio.to_thread(unknown_jobs_warning, running.out, running.journal_file.path, site)
    if warning is None:
        return
    if running.yes or not reporter.can_prompt:
        advice = "name the journal that has them with --journal, or add --new-journal"
        raise UsageError(f"{warning}: {advice}; nothing was sent")
    reporter.live_view.print(Text(printable(warning)), soft_wrap=True)
    if not await reporter.confirm("Submit them again? [y/N] "):
        raise Interrupted("not run, as answered; nothing was submitted")


def _check_ready(plan: Plan, *, skip_refused: bool) -> None:
    if not plan.ready:
        raise UsageError("there is nothing that can be sent: see above what to correct; nothing was sent")
    if not (plan.is_valid or skip_refused):
        ready = f"--skip-refused sends the {len(plan.ready):,} that are ready"
        raise UsageError(f"the plan is not started while something in it is refused; {ready}; nothing was sent")
