"""A batch of keyed jobs in a process of its own, to be killed and started again.

Each key is also in its model's endpoint, so that the ledger names the key of every submit, even of an unread one.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from attrs import frozen

from rh_async import ModelRequest, PollingPolicy, RetryPolicy, Session, SubmitUnknown, Timeouts

BRISK = PollingPolicy(interval=0.05, polls_per_second=400.0, max_interval=0.2)
QUICK = RetryPolicy(initial_delay=0.02, max_delay=0.1)


@frozen(kw_only=True)
class Batch:
    """The batch that a process runs.

    :param journal: the file that all starts of the batch share.
    :param folder: where the outputs go.
    :param read: how long a response may take, in seconds.
    """

    url: str
    api_key: str
    journal: Path
    folder: Path
    keys: tuple[str, ...]
    in_flight: int = 50
    read: float = 0.4

    @property
    def log(self) -> Path:
        """The file that takes the stderr of its processes."""
        return self.journal.with_suffix(".log")

    def session(self, **more: Any) -> Session:
        """Return a session with fast polling, retries and time limits."""
        timeouts = Timeouts(connect=2.0, read=self.read, stall=5.0)
        settings: dict[str, Any] = {"polling": BRISK, "timeouts": timeouts, "retry": QUICK, "in_flight": self.in_flight}
        return Session(self.api_key, base_url=self.url, journal=self.journal, **settings, **more)


@frozen(kw_only=True)
class Way:
    """How a batch is run in a process of its own.

    :param prepare: called once per batch.
    :param begin: starts a process.
    :param messages: yields what the process sends, until it is dead.
    :param is_last: whether a message is sent only when all is done.
    :param exit_codes: of a process that ends by itself.
    :param message_count: about how many messages it sends.
    :param longest_seconds: about how long it takes after its first message.
    :param flaws: counts what is wrong with the files it left, given the outputs of every key that is saved.
    :param run_time: how long its jobs run, in seconds.
    :param hangs: whether it gives a response up soon, so that some may never come.
    :param rounds: how many are a whole run.
    :param results: the name of the results' file.
    """

    prepare: Callable[[Batch], object]
    begin: Callable[[Batch], tuple[BaseProcess, Connection]]
    messages: Callable[[Connection], Iterable[Any]]
    is_last: Callable[[Any], bool]
    exit_codes: frozenset[int]
    message_count: int
    longest_seconds: float
    flaws: Callable[[Batch, Mapping[str, tuple[Path, ...]]], Counter[str]]
    run_time: float
    hangs: bool
    rounds: int
    results: str


def request_of(key: str) -> ModelRequest:
    """Return the request that is submitted under a key."""
    return ModelRequest(endpoint_of(key), {"prompt": key})


def endpoint_of(key: str) -> str:
    """Return an endpoint that names the key."""
    return f"crash/{key}"


def key_of(endpoint: str) -> str:
    """Return the key of a submit or a task in the ledger."""
    return endpoint.removeprefix("crash/")


def begin(batch: Batch) -> tuple[BaseProcess, Connection]:
    """Start a process that resumes a batch and finishes it.

    :return: the process, and a pipe with "open", "event" for each event, and last the keys that have results.
    """
    here, there = _CHILDREN.Pipe(duplex=False)
    process = _CHILDREN.Process(target=_work, args=(batch, there), daemon=True)
    process.start()
    there.close()
    return process, here


def _work(batch: Batch, pipe: Connection) -> None:
    logging.disable(logging.WARNING)
    with suppress(BrokenPipeError):
        asyncio.run(_finish(batch, pipe))


async def _finish(batch: Batch, pipe: Connection) -> None:
    async with batch.session(on_event=lambda _: pipe.send("event")) as session:
        pipe.send("open")
        await session.recovery.resume()
        done = await asyncio.gather(*(_run(session, batch.folder, key) for key in batch.keys))
    pipe.send([key for key, saved in zip(batch.keys, done, strict=True) if saved])


async def _run(session: Session, folder: Path, key: str) -> bool:
    """Return whether a key has its result on disk; only an unconfirmed submit excuses its absence."""
    try:
        result = await session.run(request_of(key), idempotency_key=key, output_dir=folder)
    except SubmitUnknown:
        return False
    return bool(result.paths)


def messages(pipe: Connection) -> Iterable[Any]:
    """Yield what a process sends, until it is dead."""
    with suppress(EOFError, ConnectionResetError):
        while True:
            yield pipe.recv()


def children(module: str) -> Any:
    """Return a fork server that has imported a module already: a process starts within milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def _is_list(message: Any) -> bool:
    return isinstance(message, list)


_CHILDREN = children(__name__)
SESSION = Way(
    prepare=lambda _: None,
    begin=begin,
    messages=messages,
    is_last=_is_list,
    exit_codes=frozenset({0}),
    message_count=50,  # about five per job
    longest_seconds=0.4,
    flaws=lambda *_: Counter(),
    run_time=0.1,
    hangs=True,
    rounds=300,
    results="crash",
)
