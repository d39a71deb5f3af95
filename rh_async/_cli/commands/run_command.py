"""``rh-async run``: one job, which is billed, from two files to a video on disk.

Whatever ends the command early, it prints the task id and the command that picks the job up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from attrs import field, frozen
from cyclopts import Parameter
from rich.console import Console

from rh_async import Request, Result, RHError
from rh_async._cli.execution.first_contact import connected
from rh_async._cli.execution.signals import stop_on_signals
from rh_async._cli.exit_codes import ExitCode
from rh_async._cli.options.connection import BaseUrl, Connection
from rh_async._cli.options.journal_options import RunOptions
from rh_async._cli.options.model_options import Model, ModelOptions, check_files, option_help
from rh_async._cli.options.prerequisites import need_folder, sha256_of
from rh_async._cli.output.job_reporter import JobReporter
from rh_async._cli.output.job_view import show_phases
from rh_async._cli.terminal.fields import format_cost, make_console, print_fields
from rh_async._cli.terminal.stall_monitor import StallMonitor, watch_for_stalls
from rh_async._cli.terminal.timing import now
from rh_async._journal.reader import SUBMITTED_STATES, Row, read
from rh_async._journal.records import REUSABLE_STATES
from rh_async._submission.input_comparison import check_same_inputs, new_record
from rh_async.batch import LocalFiles, ProgressCounter
from rh_async.journal import SubmissionState
from rh_async.models.derived_key import derived_key
from rh_async.models.kling import Orientation
from rh_async.models.registry import DEFAULT_MODEL
from rh_async.types import OnExit

_STALL_AFTER = 5.0
_FINISHED = "what is being sent is finished first, in a minute or so at most, so that nothing billed is lost"
_STOPPING: Mapping[OnExit, str] = MappingProxyType(
    {"detach": _FINISHED, "cancel": f"{_FINISHED}; then it is cancelled"}
)
_ORIENTATION = option_help(
    "orientation", "whether the character faces as in the video (the default) or as in the image"
)
_NO_SOUND = option_help("keep_original_sound", "do not keep the driving video's sound")


async def run(
    image: str,
    video: str,
    /,
    *,
    model: Model = DEFAULT_MODEL,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path(),
    orientation: Annotated[Orientation | None, Parameter(help=_ORIENTATION)] = None,
    prompt: Annotated[str | None, Parameter(help=option_help("prompt", "up to 2,500 characters"))] = None,
    negative_prompt: Annotated[
        str | None, Parameter(help=option_help("negative_prompt", "up to 2,500 characters"))
    ] = None,
    no_sound: Annotated[bool, Parameter(show_default=False, help=_NO_SOUND)] = False,
    webhook_url: str | None = None,
    run_options: RunOptions | None = None,
    base_url: BaseUrl = None,
) -> int:
    """Run one job, which is billed, and save its video.

    :param image: the character image: a file, or a link (not for wan2.2).
    :param video: the driving video, likewise.
    :param model: which model.
    :param out: a folder for the video, which is named after the task.
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
    """One command line, and the console it writes to."""

    model_options: ModelOptions
    out: Path
    base_url: str | None
    console: Console
    run_options: RunOptions = field(factory=RunOptions)
    files: LocalFiles = field(factory=LocalFiles)


async def perform(command: RunCommand) -> ExitCode:
    """Run the job, and return the exit code.

    :raises UsageError: it cannot be run as it was given; nothing was sent.
    :raises Interrupted: a signal stopped it.
    :raises RHError: it failed.
    """
    request = command.model_options.request()
    connection = Connection(command.base_url)
    prepared = await asyncio.to_thread(_prepare, command, request, connection)
    began = now()
    reporter = _make_reporter(command, request, connection, prepared)
    stopping = _STOPPING[command.run_options.on_exit]
    with stop_on_signals(command.console, stopping=stopping, hint=reporter.resume_hint):
        result = await _run(command, request, prepared, reporter)
    print_fields(command.console, _summary(command, result, now() - began))
    return ExitCode.SUCCESS


@frozen
class _Prepared:
    """What is known before anything is sent.

    :param folder: for the video; absolute, since the journal keeps it for commands run elsewhere.
    :param key: the job's key in the journal.
    :param earlier: the key's last attempt.
    """

    folder: Path
    key: str | None = None
    earlier: Row | None = None


def _prepare(command: RunCommand, request: Request, connection: Connection) -> _Prepared:
    check_files(command.model_options, request, command.files)
    need_folder(command.out)
    if command.run_options.journal_file is None:
        return _Prepared(command.out.absolute())
    return _look_up(command, request, connection.site, command.run_options.journal_file.prepare())


def _look_up(command: RunCommand, request: Request, site: str, journal: Path) -> _Prepared:
    """Find the job in the journal before the session is opened, so that what is known is printed first.

    The session claims the key and decides for itself: this only informs.

    :raises KeyConflict: the key was given to a job with other inputs.
    """
    sha256s = {media.path: sha256_of(media.path, command.files) for media in request.media()}
    key = command.run_options.key or derived_key(request, sha256s)
    attempts = read(journal, site, key=key)
    earlier = None if command.run_options.resubmit or not attempts else attempts[-1]
    if earlier is not None and earlier.record.state not in REUSABLE_STATES:
        check_same_inputs(earlier.record, new_record(key, request, sha256s))
    return _Prepared(command.out.absolute(), key, earlier)


async def _run(command: RunCommand, request: Request, prepared: _Prepared, reporter: JobReporter) -> Result:
    options = command.run_options
    journal = None if options.journal_file is None else options.journal_file.path
    reporter.start()
    session = reporter.connection.session(
        reporter.on_event, journal=journal, on_exit=options.on_exit, files=command.files
    )
    try:
        async with (
            connected(session, reporter.connection.address),
            show_phases(command.console, reporter.progress.snapshot),
            watch_for_stalls(reporter.stall_monitor),
        ):
            result = await session.run(
                request, idempotency_key=options.key, resubmit=options.resubmit, output_dir=prepared.folder
            )
    except RHError as error:
        raise reporter.with_advice(error) from error.__cause__
    reporter.finish(result)
    return result


def _make_reporter(command: RunCommand, request: Request, connection: Connection, prepared: _Prepared) -> JobReporter:
    address, seconds = connection.address, f"{_STALL_AFTER:.0f} s"
    message = f"waiting for the network: nothing heard from {address} for {seconds}; Ctrl-C gives up"
    return JobReporter(
        console=command.console,
        connection=connection,
        progress=_count_progress(request, prepared.earlier),
        stall_monitor=StallMonitor(console=command.console, message=message, after=_STALL_AFTER),
        out=command.out,
        journal_file=command.run_options.journal_file,
        key=prepared.key,
        earlier=prepared.earlier,
    )


def _count_progress(request: Request, earlier: Row | None) -> ProgressCounter:
    """Count what an earlier command has done already as done."""
    submitted = earlier is not None and earlier.record.state in SUBMITTED_STATES
    settled = earlier is not None and earlier.record.state in {SubmissionState.SETTLED, SubmissionState.SAVED}
    files = 0 if submitted else len({media.path for media in request.media()})
    return ProgressCounter(clock=now, jobs=1, files=files, submitted=int(submitted), settled=int(settled))


def _summary(command: RunCommand, result: Result, seconds: float) -> Iterator[tuple[str, str]]:
    for path in result.paths:
        yield "saved", str(command.out / path.name)
    yield "cost", format_cost(result.usage)
    times = [f"{seconds:.1f} s in all"]
    if result.submitted_utc is not None:
        times.append(f"{(result.noticed_utc - result.submitted_utc).total_seconds():.1f} s from accepted to done")
    if result.usage.seconds:
        times.append(f"{result.usage.seconds:f} s by the server's count")
    yield "time", ", ".join(times)
