"""``rh-async emulator``: what it prints for a client, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import sys
from pathlib import Path
from typing import NoReturn, Self

import anyio
import pytest
from aiohttp import ClientSession

from rh_async import KlingMotionControl, Session
from rh_async._cli.commands.emulator_command import emulator
from rh_async._cli.exit_codes import ExitCode, UsageError
from rh_async.emulator import Emulator
from tests.media import draw_image, film_video


async def test_the_emulator_prints_what_a_client_needs_and_a_summary_on_ctrl_c(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = asyncio.create_task(emulator(port=0, scale=0.01))
    printed = ""
    while "API_KEY" not in printed:
        await anyio.sleep(0.1)
        printed += capsys.readouterr().out
    exports = dict(line.split()[1].split("=") for line in printed.splitlines() if "export" in line)
    for name, value in exports.items():
        monkeypatch.setenv(name, value)
    async with Session() as session:
        await session.run(KlingMotionControl(draw_image(tmp_path / "hero.png"), film_video(tmp_path / "dance.mp4")))
    token = next(line.split()[1] for line in printed.splitlines() if line.strip().startswith("token"))
    page = f"{exports['RUNNINGHUB_BASE_URL']}/_emulator/ledger"
    async with ClientSession() as http, http.get(page, headers={"X-Emulator-Token": token}) as response:
        ledger = await response.json()
    serving.cancel()
    assert await serving == ExitCode.SUCCESS
    printed = next(line for line in printed.splitlines() if "curl" in line)
    assert printed.endswith(f"{exports['RUNNINGHUB_BASE_URL']}/_emulator/ledger")
    assert f"'X-Emulator-Token: {token}'" in printed
    assert len(ledger["tasks"]) == 1
    summary = capsys.readouterr().out
    assert summary.startswith("\nTasks created: 1; ")
    assert "files received: 2; charged: CNY 2.43, play money.\n" in summary


async def test_a_port_in_use_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(_address: object) -> NoReturn:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr("rh_async.emulator.server.bind_socket", taken)
    with pytest.raises(UsageError, match=r"^cannot listen on 127.0.0.1 port 8080: Address already in use$"):
        await emulator()


async def test_rendering_without_the_media_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"emulator --render draws videos.*pip install 'rh-async\[cli,media\]'"):
        await emulator(port=0, render=True)


async def started(monkeypatch: pytest.MonkeyPatch, seed: int | None = None) -> Emulator:
    """Start the command, end it, and return the emulator that it served."""
    served, begun = list[Emulator](), anyio.Event()

    class Kept(Emulator):
        async def __aenter__(self) -> Self:
            await super().__aenter__()
            served.append(self)
            begun.set()
            return self

    monkeypatch.setattr("rh_async._cli.commands.emulator_command.Emulator", Kept)
    serving = asyncio.create_task(emulator(port=0, seed=seed))
    await begun.wait()
    serving.cancel()
    await serving
    return served[0]


async def test_a_start_without_a_seed_keeps_its_key_and_repeats_no_task_id(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1_789_000_000.0, 1_789_000_060.0])
    monkeypatch.setattr("time.time", lambda: next(clock))
    first, second = await started(monkeypatch), await started(monkeypatch)
    assert first.api_key == second.api_key
    assert first.task_ids_above is not None
    assert second.task_ids_above is not None
    assert second.task_ids_above - first.task_ids_above > 10_000 << 22


async def test_a_given_seed_repeats_keys_and_task_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = await started(monkeypatch, seed=1), await started(monkeypatch, seed=1)
    assert first.task_ids_above is second.task_ids_above is None
    assert first.api_key == second.api_key
