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
from rh_async._cli.execution.first_contact import reached
from rh_async._cli.execution.signals import stoppable
from rh_async._cli.execution.stall_monitor import Hush, listening
from rh_async._cli.exit_codes import Exit
from rh_async._cli.options.connection import BaseUrl, Connection
from rh_async._cli.options.journal_options import Keeping
from rh_async._cli.options.model_options import Model, Wish, check_files
from rh_async._cli.options.prerequisites import need_folder, sha256_of
from rh_async._cli.output.fields import cost, screen, tell
from rh_async._cli.output.job_reporter import Diary
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
    keeping: Keeping | None = None,
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
    wish = Wish(
        image=image,
        video=video,
        model=model,
        orientation=orientation,
        prompt=prompt,
        negative_prompt=negative_prompt,
        no_sound=no_sound,
        webhook_url=webhook_url,
    )
    return await perform(Errand(wish, out, base_url, screen(), keeping or Keeping()))


@frozen
class Errand:
    """One job as it was asked for, and where to tell of it."""

    wish: Wish
    out: Path
    base_url: str | None
    console: Console
    keeping: Keeping = field(factory=Keeping)


async def perform(errand: Errand) -> Exit:
    """Run the errand, and return what its end is worth to a shell.

    :raises Misuse: it cannot be done as it was given; nothing was sent.
    :raises Interrupted: it was stopped.
    :raises RHError: it did not end well.
    """
    request = errand.wish.request()
    connection = Connection(errand.base_url)
    known = await asyncio.to_thread(_prepare, errand, request, connection)
    began = now()
    diary = _diary(errand, request, connection, known)
    with stoppable(errand.console, stopping=_STOPPING[errand.keeping.on_exit], words=diary.whereabouts):
        result = await _done(errand, request, known, diary)
    tell(errand.console, _summary(errand, result, now() - began))
    return Exit.GOOD


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


def _prepare(errand: Errand, request: Request, connection: Connection) -> _Known:
    check_files(errand.wish, request)
    need_folder(errand.out)
    if errand.keeping.book is None:
        return _Known(errand.out.absolute())
    return _looked_up(errand, request, connection.site, errand.keeping.book.made())


def _looked_up(errand: Errand, request: Request, site: str, journal: Path) -> _Known:
    """Look before the session does, which decides: what is found here is told before anything is opened.

    :raises KeyInUse: the key was given to a job with other inputs.
    """
    sha256s = {media.path: sha256_of(media.path) for media in request.media()}
    key = errand.keeping.key or derived_key(request.endpoint, request.named(sha256s))
    keyed = read(journal, site, key=key)
    earlier = None if errand.keeping.again or not keyed else keyed[-1]
    if earlier is not None and earlier.record.state not in REUSABLE_STATES:
        refuse_another(earlier.record, asked_for(key, request, sha256s))
    return _Known(errand.out.absolute(), key, earlier)


async def _done(errand: Errand, request: Request, known: _Known, diary: Diary) -> Result:
    journal = None if errand.keeping.book is None else errand.keeping.book.path
    diary.begin()
    made = diary.connection.session(diary.tell, journal=journal, on_exit=errand.keeping.on_exit)
    try:
        async with (
            reached(made, diary.connection.address) as session,
            shown(errand.console, diary.tally),
            listening(diary.hush),
        ):
            result = await session.run(
                request, idempotency_key=errand.keeping.key, resubmit=errand.keeping.again, output_dir=known.folder
            )
    except RHError as error:
        raise diary.advised(error) from error.__cause__
    diary.end(result)
    return result


def _diary(errand: Errand, request: Request, connection: Connection, known: _Known) -> Diary:
    words = f"waiting for the network: nothing heard from {connection.address} for {_SILENCE:.0f} s; Ctrl-C gives up"
    return Diary(
        console=errand.console,
        connection=connection,
        tally=_tally(request, known.earlier),
        hush=Hush(console=errand.console, words=words, after=_SILENCE),
        out=errand.out,
        book=errand.keeping.book,
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


def _summary(errand: Errand, result: Result, seconds: float) -> Iterator[tuple[str, str]]:
    for path in result.paths:
        yield "saved", str(errand.out / path.name)
    yield "cost", cost(result.usage)
    times = [f"{seconds:.1f} s in all"]
    if result.submitted_utc is not None:
        times.append(f"{(result.noticed_utc - result.submitted_utc).total_seconds():.1f} s from accepted to done")
    if result.usage.seconds:
        times.append(f"{result.usage.seconds:f} s by the server's count")
    yield "time", ", ".join(times)
