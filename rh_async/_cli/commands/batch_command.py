"""``rh-async batch``: a folder of clips or a manifest, planned and priced before anything is sent, then run."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from rh_async._batch import Plan
from rh_async._cli.execution.batch_session import run_through
from rh_async._cli.execution.journal_check import new_journal_words, with_used_keys
from rh_async._cli.execution.plan_request import planned
from rh_async._cli.exit_codes import Exit, Interrupted, Misuse
from rh_async._cli.options.batch_options import Options, Order, Running, Sources
from rh_async._cli.options.connection import Connection, site_of
from rh_async._cli.options.manifest_columns import column_words
from rh_async._cli.options.prerequisites import need_folder
from rh_async._cli.output.fields import printable
from rh_async._cli.output.plan_report import as_event, report
from rh_async._cli.output.report_file import write_report
from rh_async._cli.output.reporter import Voice


async def batch(
    clips: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    *,
    sources: Sources | None = None,
    options: Options | None = None,
    running: Running | None = None,
) -> int:
    """Make a video of every clip.

    :param clips: driving videos: files, folders, patterns.
    """
    if sources is not None and sources.manifest_columns:
        Voice.of(json=False).say(*await asyncio.to_thread(column_words, (options or Options()).model))
        return Exit.GOOD
    order = Order(clips, sources or Sources(), options or Options(), running or Running())
    return await perform(order, Voice.of(json=order.running.json))


async def perform(order: Order, voice: Voice) -> Exit:
    """Plan, say what the plan is, and carry it out unless it was only to be checked.

    :raises Misuse: it cannot be carried out as it was given; nothing was sent.
    :raises Interrupted: it was stopped.
    :raises RHError: it could not be begun.
    """
    connection = None if order.running.check else Connection(order.running.base_url)
    plan = await _checked(await planned(order, voice.view), order.running)
    voice.say(*report(plan))
    voice.event("plan", **as_event(plan))
    if order.running.report is not None:
        told = await asyncio.to_thread(write_report, plan, order.running.report)
        voice.say(Text.assemble(("report    ", "bold"), printable(told)))
    if connection is None:
        return Exit.GOOD if plan.is_whole else Exit.MISUSED
    _admit(plan, skip_refused=order.running.skip_refused)
    await asyncio.to_thread(need_folder, order.running.out)
    await _need_its_journal(order.running, connection.site, voice)
    return await run_through(plan, order.running, connection, voice)


async def _checked(plan: Plan, running: Running) -> Plan:
    """What is only checked is held against the journal, too: a run looks its jobs up anyway, and reads each file."""
    if not running.check or running.book is None:
        return plan
    return await asyncio.to_thread(with_used_keys, plan, running.book.path, site_of(running.base_url))


async def _need_its_journal(running: Running, site: str, voice: Voice) -> None:
    """Ask before a new journal has a folder bought again; where nobody can be asked, refuse it."""
    if running.book is None or running.new_journal:
        return
    words = await asyncio.to_thread(new_journal_words, running.out, running.book.path, site)
    if words is None:
        return
    if running.yes or not voice.can_ask:
        advice = "name the journal that has them with --journal, or say --new-journal"
        raise Misuse(f"{words}: {advice}; nothing was sent")
    voice.view.print(Text(printable(words)), soft_wrap=True)
    if not await voice.agreed("Buy them again? [y/N] "):
        raise Interrupted("not run, as answered; nothing was bought")


def _admit(plan: Plan, *, skip_refused: bool) -> None:
    if not plan.ready:
        raise Misuse("there is nothing that can be sent: see above what to correct; nothing was sent")
    if not (plan.is_whole or skip_refused):
        words = f"the plan is not started while something in it is refused; --skip-refused sends {len(plan.ready):,}"
        raise Misuse(f"{words} that are ready; nothing was sent")
