"""``rh-async run``: one paid job, from two files to a video on disk; whatever ends it early, the task id is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from attrs import field, frozen
from cyclopts import Parameter
from rich.console import Console

from rh_async import Request, Result, RHError, SubmissionState
from rh_async._cli.execution.clock import now
from rh_async._cli.execution.first_contact import connected
from rh_async._cli.execution.signals import stop_on_signals
from rh_async._cli.execution.stall_monitor import StallMonitor, listening
from rh_async._cli.exit_codes import ExitCode
from rh_async._cli.options.connection import BaseUrl, Connection
from rh_async._cli.options.journal_options import RunOptions
from rh_async._cli.options.model_options import Model, ModelOptions, check_files
from rh_async._cli.options.prerequisites import need_folder, sha256_of
from rh_async._cli.output.fields import cost, make_console, tell
from rh_async._cli.output.job_reporter import JobReporter
from rh_async._cli.output.job_view import shown
from rh_async._cli.output.phase_counter import Tally
from rh_async._journal.reader import BOUGHT, Row, read
from rh_async._journal.records import REUSABLE_STATES, derived_key
from rh_async._submission.input_comparison import asked_for, refuse_another
from rh_async.models.motion import Orientation
from rh_async.types import OnExit

_SILENCE = 5.0
_FINISHED = "what is being sent is finished first, in a minute or so at most, so that nothing paid is lost"
_STOPPING: Mapping[OnExit, str] = MappingProxyType(
    {"detach": _FINISHED, "cancel": f"{_FINISHED}; then it is cancelled"}
)


async def run(
    image: str,
    video: str,
    /,
    *,
    model: Model = "kling-v3.0-std",
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path(),
    orientation: Orientation | None = None,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    no_sound: Annotated[bool, Parameter(show_default=False)] = False,
    webhook_url: str | None = None,
    run_options: RunOptions | None = None,
    base_url: BaseUrl = None,
) -> int:
    """Run one job, which is paid, and save what it makes.

    :param image: the character image: a file, or a link (not for wan2.2).
    :param video: the driving video, likewise.
    :param model: which model.
    :param out: a folder for the video, which is named after the task.
    :param orientation: whether the character faces as in the video (the default) or as in the image; kling only.
    :param prompt: up to 2,500 characters; kling only.
    :param negative_prompt: up to 2,500 characters; kling-v3.0 only.
    :param no_sound: do not keep the driving video's sound; kling only.
    :param webhook_url: an address the server calls when the job is over.
    """
    model_options = ModelOptions(
        image=image,
        video=video,
        model=model,
        orientation=orientation,
        prompt=prompt,
        negative_prompt=negative_prompt,
        no_sound=no_sound,
        webhook_url=webhook_url,
    )
    return await perform(RunCommand(model_options, out, base_url, make_console(), run_options or RunOptions()))


@frozen
class RunCommand:
    """One job as it was asked for, and where to tell of it."""

    model_options: ModelOptions
    out: Path
    base_url: str | None
    console: Console
    run_options: RunOptions = field(factory=RunOptions)


async def perform(command: RunCommand) -> ExitCode:
    """Run the errand, and return what its end is worth to a shell.

    :raises UsageError: it cannot be done as it was given; nothing was sent.
    :raises Interrupted: it was stopped.
    :raises RHError: it did not end well.
    """
    request = command.model_options.request()
    connection = Connection(command.base_url)
    known = await asyncio.to_thread(_prepare, command, request, connection)
    began = now()
    reporter = _diary(command, request, connection, known)
    with stop_on_signals(command.console, stopping=_STOPPING[command.run_options.on_exit], words=reporter.resume_hint):
        result = await _done(command, request, known, reporter)
    tell(command.console, _summary(command, result, now() - began))
    return ExitCode.SUCCESS


@frozen
class _Known:
    """What is known before anything is sent.

    :param folder: where the video goes, whoever picks it up from wherever.
    :param key: what the journal calls the job.
    :param earlier: what it has of it.
    """

    folder: Path
    key: str | None = None
    earlier: Row | None = None


def _prepare(command: RunCommand, request: Request, connection: Connection) -> _Known:
    check_files(command.model_options, request)
    need_folder(command.out)
    if command.run_options.journal_file is None:
        return _Known(command.out.absolute())
    return _looked_up(command, request, connection.site, command.run_options.journal_file.made())


def _looked_up(command: RunCommand, request: Request, site: str, journal: Path) -> _Known:
    """Look before the session does, which decides: what is found here is told before anything is opened.

    :raises KeyConflict: the key was given to a job with other inputs.
    """
    sha256s = {media.path: sha256_of(media.path) for media in request.media()}
    key = command.run_options.key or derived_key(request.endpoint, request.fingerprint(sha256s))
    keyed = read(journal, site, key=key)
    earlier = None if command.run_options.resubmit or not keyed else keyed[-1]
    if earlier is not None and earlier.record.state not in REUSABLE_STATES:
        refuse_another(earlier.record, asked_for(key, request, sha256s))
    return _Known(command.out.absolute(), key, earlier)


async def _done(command: RunCommand, request: Request, known: _Known, reporter: JobReporter) -> Result:
    journal = None if command.run_options.journal_file is None else command.run_options.journal_file.path
    reporter.begin()
    made = reporter.connection.session(reporter.tell, journal=journal, on_exit=command.run_options.on_exit)
    try:
        async with (
            connected(made, reporter.connection.address) as session,
            shown(command.console, reporter.tally),
            listening(reporter.stall_monitor),
        ):
            result = await session.run(
                request,
                idempotency_key=command.run_options.key,
                resubmit=command.run_options.resubmit,
                output_dir=known.folder,
            )
    except RHError as error:
        raise reporter.advised(error) from error.__cause__
    reporter.end(result)
    return result


def _diary(command: RunCommand, request: Request, connection: Connection, known: _Known) -> JobReporter:
    words = f"waiting for the network: nothing heard from {connection.address} for {_SILENCE:.0f} s; Ctrl-C gives up"
    return JobReporter(
        console=command.console,
        connection=connection,
        tally=_tally(request, known.earlier),
        stall_monitor=StallMonitor(console=command.console, words=words, after=_SILENCE),
        out=command.out,
        journal_file=command.run_options.journal_file,
        key=known.key,
        earlier=known.earlier,
    )


def _tally(request: Request, earlier: Row | None) -> Tally:
    """What an earlier command has done already is not done again."""
    bought = earlier is not None and earlier.record.state in BOUGHT
    tally = Tally(clock=now, jobs=1, files=0 if bought else len({one.path for one in request.media()}))
    tally.submit.done = int(bought)
    tally.running.done = int(
        earlier is not None and earlier.record.state in {SubmissionState.SETTLED, SubmissionState.SAVED}
    )
    return tally


def _summary(command: RunCommand, result: Result, seconds: float) -> Iterator[tuple[str, str]]:
    for path in result.paths:
        yield "saved", str(command.out / path.name)
    yield "cost", cost(result.usage)
    times = [f"{seconds:.1f} s in all"]
    if result.submitted_utc is not None:
        times.append(f"{(result.noticed_utc - result.submitted_utc).total_seconds():.1f} s from accepted to done")
    if result.usage.seconds:
        times.append(f"{result.usage.seconds:f} s by the server's count")
    yield "time", ", ".join(times)
