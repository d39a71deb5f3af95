"""``rh-async run``: one paid job, from two files to a video on disk; whatever ends it early, the task id is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

import anyio
from attrs import define, field, frozen
from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from rh_async import Request, Result, RHError
from rh_async.events import Changed, Event, Saved, Settled, Submitted
from rh_async.motion import Orientation

from ._connection import BaseUrl, Connection
from ._exits import Exit, Misuse, sentence
from ._facts import cost, printable, screen, tell
from ._hush import Hush, listening
from ._interrupts import stoppable
from ._progress import shown
from ._tally import Tally
from ._wishes import Model, Wish, check_files

_SILENCE = 5.0
_STOPPING = "what is being sent is finished first, in a minute or so at most, so that nothing paid is lost"


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
    base_url: BaseUrl = None,
) -> int:
    """Run one job, which is paid, and save what it makes.

    Interrupted, it lets the job go on remotely and names the command that looks at it.

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
    return await perform(Errand(wish, out, base_url, screen()))


@frozen
class Errand:
    """One job as it was asked for, and where to tell of it."""

    wish: Wish
    out: Path
    base_url: str | None
    console: Console


async def perform(errand: Errand) -> Exit:
    """Run the errand, and return what its end is worth to a shell.

    :raises Misuse: it cannot be done as it was given; nothing was sent.
    :raises Interrupted: it was stopped.
    :raises RHError: it did not end well.
    """
    request = errand.wish.request()
    connection = Connection(errand.base_url)
    await asyncio.to_thread(_prepare, errand, request)
    began = anyio.current_time()
    diary = _diary(errand, request, connection)
    with stoppable(errand.console, stopping=_STOPPING, words=diary.whereabouts):
        result = await _done(errand, request, connection, diary)
    tell(errand.console, _summary(result, anyio.current_time() - began))
    return Exit.GOOD


def _prepare(errand: Errand, request: Request) -> None:
    check_files(errand.wish, request)
    try:
        errand.out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=errand.out):
            pass
    except OSError as error:
        raise Misuse(f"--out {errand.out} cannot be written: {error.strerror or error}; nothing was sent") from error


async def _done(errand: Errand, request: Request, connection: Connection, diary: Diary) -> Result:
    try:
        async with (
            connection.session(diary.tell) as session,
            shown(errand.console, diary.tally),
            listening(diary.hush),
        ):
            return await session.run(request, save_to=errand.out)
    except RHError as error:
        raise diary.advised(error) from error.__cause__


def _diary(errand: Errand, request: Request, connection: Connection) -> Diary:
    words = f"waiting for the network: nothing heard from {connection.address} for {_SILENCE:.0f} s; Ctrl-C gives up"
    return Diary(
        console=errand.console,
        connection=connection,
        tally=Tally(clock=anyio.current_time, jobs=1, files=len({media.path for media in request.media()})),
        hush=Hush(console=errand.console, words=words, after=_SILENCE),
    )


@define(kw_only=True, eq=False)
class Diary:
    """What is known of one job, written down as it happens and told at once."""

    console: Console
    connection: Connection
    tally: Tally
    hush: Hush
    _submitted: Submitted | None = field(default=None, init=False)
    _settled: Settled | None = field(default=None, init=False)

    def tell(self, event: Event) -> None:
        """Take an event in."""
        self.tally.tell(event)
        self.hush.hear()
        match event:
            case Submitted():
                self.hush.rest()
                self._submitted = event
                self._say(f"task {event.task_id} is accepted; whatever happens here, this looks at it:")
                self._say(self._look(event))
            case Changed():
                self.hush.rest()
                self._say(f"task {event.snapshot.task_id} is {event.snapshot.status}")
            case Settled():
                self._settled = event
            case Saved():
                self.hush.rest()
            case _:
                pass

    def whereabouts(self) -> str:
        """Where the job is, for whoever stops waiting."""
        if self._submitted is None:
            return self._unsent()
        about = f"task {self._submitted.task_id}"
        if self._settled is None:
            return f"{about} goes on remotely and is paid for; look at it: {self._look(self._submitted)}"
        if self._settled.error is not None:
            return sentence(self._settled.error)
        return f"{about} has succeeded, its video is not saved; its link: {self._look(self._submitted)}"

    def advised(self, error: RHError) -> RHError:
        """An error, saying what to do about a job that is done when its video could not be saved."""
        if self._submitted is not None and self._settled is not None and self._settled.error is None:
            error.task_id = self._submitted.task_id
            error.advice = f"The job is done and paid; its link lives for about 24 h: {self._look(self._submitted)}"
        return error

    def _unsent(self) -> str:
        if self._settled is None:
            return "the job may have been sent; look into the console's call record before sending it again"
        if self._settled.error is not None and self._settled.error.maybe_billed:
            return sentence(self._settled.error)
        return "the job was not sent, nothing is paid"

    def _look(self, submitted: Submitted) -> str:
        return self.connection.look_command(submitted.task_id)

    def _say(self, words: str) -> None:
        self.console.print(Text(printable(words)), soft_wrap=True)


def _summary(result: Result, seconds: float) -> Iterator[tuple[str, str]]:
    for path in result.paths:
        yield "saved", str(path)
    yield "cost", cost(result.usage)
    times = [f"{seconds:.1f} s in all"]
    if result.submitted_utc is not None:
        times.append(f"{(result.noticed_utc - result.submitted_utc).total_seconds():.1f} s from accepted to done")
    if result.usage.seconds:
        times.append(f"{result.usage.seconds:f} s by the server's count")
    yield "time", ", ".join(times)
