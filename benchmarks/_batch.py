"""A batch of keyed jobs in a process of its own, to be killed and started again.

Each key is its model's path too, so that the ledger names the key of every submit, even of one that was not read.
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
    """What a process is to do.

    :param journal: the file that all starts of the batch share.
    :param folder: where the outputs go.
    :param read: how long an answer may take, in seconds.
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
        """What all its processes say that nobody waits for."""
        return self.journal.with_suffix(".log")

    def session(self, **more: Any) -> Session:
        """A session as the batch wants it."""
        timeouts = Timeouts(connect=2.0, read=self.read, stall=5.0)
        settings: dict[str, Any] = {"polling": BRISK, "timeouts": timeouts, "retry": QUICK, "in_flight": self.in_flight}
        return Session(self.api_key, base_url=self.url, journal=self.journal, **settings, **more)


@frozen(kw_only=True)
class Way:
    """How a batch is run in a process of its own.

    :param prepare: called once per batch.
    :param begin: starts a process.
    :param heard: what it says, until it is dead.
    :param is_last: whether a word is said once all is done.
    :param ends: the exit codes of one that ends by itself.
    :param words: about how many it says.
    :param latest: about how long it takes after its first word, in seconds.
    :param leavings: counts what is wrong with what it left, given the outputs of every key that is saved.
    :param run_time: how long its jobs run, in seconds.
    :param hangs: whether it gives an answer up soon, so that some may never come.
    :param rounds: how many are a whole run.
    :param results: the name under which that is kept.
    """

    prepare: Callable[[Batch], object]
    begin: Callable[[Batch], tuple[BaseProcess, Connection]]
    heard: Callable[[Connection], Iterable[Any]]
    is_last: Callable[[Any], bool]
    ends: frozenset[int]
    words: int
    latest: float
    leavings: Callable[[Batch, Mapping[str, tuple[Path, ...]]], Counter[str]]
    run_time: float
    hangs: bool
    rounds: int
    results: str


def request_of(key: str) -> ModelRequest:
    """What is bought under a key."""
    return ModelRequest(endpoint_of(key), {"prompt": key})


def endpoint_of(key: str) -> str:
    """Whose path tells the key."""
    return f"crash/{key}"


def key_of(endpoint: str) -> str:
    """Under which key a submit or a task in the ledger was bought."""
    return endpoint.removeprefix("crash/")


def begin(batch: Batch) -> tuple[BaseProcess, Connection]:
    """Start a process that comes back to a batch and finishes it.

    :return: the process, and where it says "open", "event" for each event, and last which keys have results.
    """
    here, there = _CHILDREN.Pipe(duplex=False)
    process = _CHILDREN.Process(target=_work, args=(batch, there), daemon=True)
    process.start()
    there.close()
    return process, here


def _work(batch: Batch, told: Connection) -> None:
    logging.disable(logging.WARNING)
    with suppress(BrokenPipeError):
        asyncio.run(_finish(batch, told))


async def _finish(batch: Batch, told: Connection) -> None:
    async with batch.session(on_event=lambda _: told.send("event")) as session:
        told.send("open")
        await session.recovery.resume()
        ends = await asyncio.gather(*(_run(session, batch.folder, key) for key in batch.keys))
    told.send([key for key, done in zip(batch.keys, ends, strict=True) if done])


async def _run(session: Session, folder: Path, key: str) -> bool:
    """Whether a key has its result on disk; only a submit of unknown fate excuses it."""
    try:
        result = await session.run(request_of(key), idempotency_key=key, output_dir=folder)
    except SubmitUnknown:
        return False
    return bool(result.paths)


def heard(told: Connection) -> Iterable[Any]:
    """What a process says, until it is dead."""
    with suppress(EOFError, ConnectionResetError):
        while True:
            yield told.recv()


def children(module: str) -> Any:
    """Processes of a server that has imported a module already: one starts within milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def _is_list(word: Any) -> bool:
    return isinstance(word, list)


_CHILDREN = children(__name__)
SESSION = Way(
    prepare=lambda _: None,
    begin=begin,
    heard=heard,
    is_last=_is_list,
    ends=frozenset({0}),
    words=50,  # about five per job
    latest=0.4,
    leavings=lambda *_: Counter(),
    run_time=0.1,
    hangs=True,
    rounds=300,
    results="crash",
)
