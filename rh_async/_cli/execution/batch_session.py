"""A plan on its way: told as it goes, stopped in order, and worth one exit code at its end."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Any

from attrs import define, field
from rich.text import Text

from rh_async import RHError, Session
from rh_async._batch import Names, Plan
from rh_async._cli.exit_codes import Exit, Interrupted, Misuse
from rh_async._cli.options.connection import Connection
from rh_async._cli.output.batch_summary import Tidings
from rh_async._cli.output.job_view import every
from rh_async._cli.output.reporter import Voice
from rh_async.events import Downloading, Event, Flawed, Submitted, Uploading

from .batch_preflight import offer
from .clock import now
from .first_contact import reached
from .network_activity import heeding
from .resubmit_cost import retry_words
from .signals import stoppable
from .stall_monitor import Hush

if TYPE_CHECKING:
    from pathlib import Path

    from rh_async._batch import Batch, Standing
    from rh_async._cli.options.batch_options import Running

_STOPPING = "nothing more is started; what is being sent is finished first, in a minute or so at most"
_SILENCE = 10.0
_LOOKED_EVERY = 0.5


async def run_through(plan: Plan, running: Running, connection: Connection, voice: Voice) -> Exit:
    """Carry a plan out, and return what its end is worth to a shell.

    :raises Interrupted: it was stopped.
    :raises RHError: it could not be begun.
    """
    journal = None if running.book is None else await asyncio.to_thread(running.book.made)
    if running.retry_failed and journal is not None:
        words = await asyncio.to_thread(retry_words, plan, journal, connection.site)
        voice.say(Text.assemble((f"{'retry':<10}", "bold"), words))
    folder = await asyncio.to_thread(running.out.absolute)
    course = Course(plan=plan, running=running, connection=connection, voice=voice, folder=folder)
    try:
        with stoppable(voice.view, stopping=_STOPPING, words=course.whereabouts):
            async with course.reached(journal) as session, every(_LOOKED_EVERY, course.hush.look):
                await course.offer(session)
                await course.follow(session)
    except Interrupted:
        course.over(Exit.INTERRUPTED)
        raise
    except Misuse:
        course.over(Exit.MISUSED)
        raise
    return course.end()


@define(kw_only=True, eq=False)
class Course:
    """One run of a plan.

    :param folder: for its outputs, whoever picks them up from wherever.
    """

    folder: Path
    plan: Plan
    running: Running
    connection: Connection
    voice: Voice
    tidings: Tidings = field(factory=Tidings, init=False)
    hush: Hush = field(init=False)
    _batch: Batch | None = field(default=None, init=False)
    _followed: bool = field(default=False, init=False)
    _left: Standing | None = field(default=None, init=False)
    _sent: int = field(default=0, init=False)  #: since it was left: what was being sent is finished
    _began: float = field(factory=now, init=False)

    @hush.default
    def _listening(self) -> Hush:
        who = self.connection.address
        return Hush(
            console=self.voice.view,
            words=f"nothing heard from {who} for {_SILENCE:.0f} s; it goes on by itself once the network is back",
            after=_SILENCE,
            back=f"heard from {who} again",
            say=self.voice.log,
        )

    def reached(self, journal: Path | None) -> AbstractAsyncContextManager[Session]:
        """A session that is open while the server answers, or until it is clear that there is none."""
        return reached(self.session(journal), self.connection.address)

    def session(self, journal: Path | None) -> Session:
        """A session that is listened to."""
        return Session(
            base_url=self.connection.base_url,
            journal=journal,
            in_flight=self.running.in_flight,
            trace_configs=[heeding(self.hush)],
            on_event=self.tell,
            trust_env=True,
        )

    async def offer(self, session: Session) -> None:
        """Say what is left to buy and what it costs; at a terminal, ask whether to run.

        :raises Interrupted: the answer was no.
        """
        running = self.running
        self._batch = session.batch(
            self.plan, self.folder, names=Names(running.name), budget=running.budget, retry_failed=running.retry_failed
        )
        await offer(self._batch, running, self.voice)

    async def follow(self, session: Session) -> None:
        """Run the batch, and tell each end.

        :raises RHError: it could not be begun.
        """
        assert self._batch is not None  # noqa: S101 - for the type checker: it has been offered
        self._followed = True
        async with aclosing(self._batch), self.voice.showing(self._batch, self.hush):
            try:
                async for outcome in self._batch:
                    self.tidings.note(outcome)
                    self.voice.ended(outcome)
            finally:
                self._left, self._sent = self._batch.standing(), 0

    def tell(self, event: Event) -> None:
        """Take an event of the session in."""
        self._sent += isinstance(event, Submitted)
        if isinstance(event, Uploading):
            self.hush.hear()  # and its answer is still to come
        elif isinstance(event, Flawed):
            self.voice.event("flawed", task_id=event.task_id, flaw=event.flaw)
            self.voice.log(f"task {event.task_id} will probably fail; the server says of its workflow: {event.flaw}")
        elif isinstance(event, Downloading):
            self.hush.rest()  # whatever else ends or waits may do so unheard

    def whereabouts(self) -> str:
        """What goes on remotely, for whoever stops it."""
        if self._batch is None or not self._followed:
            return "nothing was started"
        standing, sent = (self._batch.standing(), 0) if self._left is None else (self._left, self._sent)
        unstarted = standing.waiting + standing.uploading + standing.withheld - sent
        words = f"{_jobs(standing.in_flight + sent)} on remotely and paid for, {unstarted:,} not started"
        if self.running.book is None:
            return f"{words}; without a journal, the same command would buy them again"
        return f"{words}; the same command again continues, and buys nothing twice"

    def end(self) -> Exit:
        """Sum it up."""
        assert self._batch is not None  # noqa: S101 - for the type checker: it has been followed
        standing, stopped = self._batch.standing(), self._batch.stopped
        code = self.tidings.worth(stopped)
        self.voice.say(*self.tidings.summary(standing, self.running, self._seconds()))
        self.voice.say(*self.tidings.advice(self.running, self.connection, stopped))
        self.over(code, stopped)
        return code

    def over(self, code: Exit, stopped: RHError | None = None) -> None:
        """Tell a machine that this was all."""
        counts, money = self.tidings.counts, None if self._batch is None else as_event(self._batch.standing())
        self.voice.event("end", exit=int(code), seconds=self._seconds(), counts=counts, money=money, stopped=stopped)

    def _seconds(self) -> float:
        return now() - self._began


def as_event(standing: Standing) -> dict[str, Any]:
    """The money of a batch for a machine."""
    names = "currency", "spent", "spent_earlier", "reserved", "in_doubt", "doubtful", "budget"
    return {name: getattr(standing, name) for name in names}


def _jobs(count: int) -> str:
    return "1 job goes" if count == 1 else f"{count:,} jobs go"
