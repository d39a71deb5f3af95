"""An emulator in a process of its own, so that what is measured is the client alone."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from rh_async.emulator import Emulator


@contextmanager
def emulator_process(**options: Any) -> Iterator[tuple[str, str]]:
    """Run an emulator elsewhere.

    :param options: for `Emulator`.
    :return: its url and an API key.
    """
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there, options), daemon=True)
    process.start()
    try:
        url, key = here.recv()
        yield url, key
    finally:
        here.send(None)
        process.join()


def _serve(pipe: Connection, options: dict[str, Any]) -> None:
    asyncio.run(_emulate(pipe, options))


async def _emulate(pipe: Connection, options: dict[str, Any]) -> None:
    async with Emulator(**options) as server:
        pipe.send((server.url, server.api_key))
        await asyncio.to_thread(pipe.recv)
