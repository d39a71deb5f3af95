"""A batch of keyed jobs in a process of its own, to be killed and started again.

Each key is its model's path too, so that the ledger names the key of every submit, even of one that was not read.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from attrs import frozen

from rh_async import ModelRequest, Pace, Retry, Session, SubmitUnknown, Timeouts

_BRISK = Pace(interval=0.05, questions_per_second=400.0, ceiling=0.2)
_QUICK = Retry(first=0.02, ceiling=0.1)


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

    def session(self, **more: Any) -> Session:
        """A session as the batch wants it."""
        timeouts = Timeouts(connect=2.0, read=self.read, stall=5.0)
        settings: dict[str, Any] = {"pace": _BRISK, "timeouts": timeouts, "retry": _QUICK, "in_flight": self.in_flight}
        return Session(self.api_key, base_url=self.url, journal=self.journal, **settings, **more)


def request_of(key: str) -> ModelRequest:
    """What is bought under a key."""
    return ModelRequest(f"crash/{key}", {"prompt": key})


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
        await session.resume()
        ends = await asyncio.gather(*(_run(session, batch.folder, key) for key in batch.keys))
    told.send([key for key, done in zip(batch.keys, ends, strict=True) if done])


async def _run(session: Session, folder: Path, key: str) -> bool:
    """Whether a key has its result on disk; only a submit of unknown fate excuses it."""
    try:
        result = await session.run(request_of(key), key=key, save_to=folder)
    except SubmitUnknown:
        return False
    return bool(result.paths)


def heard(told: Connection) -> Iterable[Any]:
    """What a process says, until it is dead."""
    with suppress(EOFError, ConnectionResetError):
        while True:
            yield told.recv()


def _children() -> Any:
    """Processes of a server that has imported everything already: one starts within milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


_CHILDREN = _children()
