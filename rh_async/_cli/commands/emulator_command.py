"""``rh-async emulator``: serve a local RunningHub to develop against, until Ctrl-C."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import anyio
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from rh_async._cli.exit_codes import ExitCode, UsageError
from rh_async._cli.options.prerequisites import need_media
from rh_async.emulator import Emulator, Ledger, snowflake_at


async def emulator(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8080,
    seed: int | None = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 50,
    scale: Annotated[float, Parameter(validator=Number(gte=0))] = 1.0,
    render: bool = False,
) -> int:
    """Serve a local RunningHub to develop against, until Ctrl-C: nothing is billed.

    :param host: where to listen.
    :param port: 0 for any free one.
    :param seed: decides API keys, task ids and run times. Without it, each start has the same keys and new task ids.
    :param limit: how many jobs the account may have in flight.
    :param scale: multiplies every run time; 0.01 makes minutes seconds.
    :param render: draw the character image into the driving video; needs the media extra.
    """
    if render:
        await asyncio.to_thread(need_media, "emulator --render")
    console = Console(highlight=False)
    server = Emulator(
        host=host,
        port=port,
        seed=1 if seed is None else seed,
        # A journal from an earlier start must not find other tasks under its task ids.
        task_ids_above=snowflake_at(time.time()) if seed is None else None,
        limit=limit,
        scale=scale,
        render=render,
    )
    async with _serving(server):
        _print_addresses(console, server)
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            # Ctrl-C is the usual end, and no failure: a cancellation that is not caught here would become one.
            _print_summary(console, server.ledger)
    return ExitCode.SUCCESS


@asynccontextmanager
async def _serving(server: Emulator) -> AsyncIterator[None]:
    try:
        await server.__aenter__()
    except OSError as error:
        raise UsageError(f"cannot listen on {server.host} port {server.port}: {error.strerror or error}") from error
    try:
        yield
    finally:
        await server.__aexit__(None, None, None)


def _print_addresses(console: Console, server: Emulator) -> None:
    console.print("[bold]A local RunningHub: nothing here is billed.[/] Ctrl-C ends it.\n")
    console.print(f"  url    {server.url}\n  key    {server.api_key}\n  token  {server.admin_token}\n")
    console.print("What it has received, to be read with the token:\n")
    ledger = f"curl -H 'X-Emulator-Token: {server.admin_token}' {server.url}/_emulator/ledger"
    console.print(f"  {ledger}\n", soft_wrap=True)
    console.print("In the shell that runs your program:\n")
    for name, value in (("RUNNINGHUB_BASE_URL", server.url), ("RUNNINGHUB_API_KEY", server.api_key)):
        console.print(f"  export {name}={value}", soft_wrap=True)


def _print_summary(console: Console, ledger: Ledger) -> None:
    console.print(
        f"\nTasks created: {len(ledger.tasks)}; calls answered: {len(ledger.calls)};"
        f" files received: {len(ledger.uploads)}; charged: CNY {ledger.total_charged}, play money.",
        soft_wrap=True,
    )
