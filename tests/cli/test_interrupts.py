"""Ctrl-C and SIGTERM: open POSTs are finished, running jobs are named, and the second signal leaves at once."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import anyio
import pytest

from rh_async import TaskId
from rh_async._cli.app import _replace_unencodable
from rh_async._cli.execution.signals import stop_on_signals
from rh_async._cli.options.connection import Connection
from rh_async._cli.output.job_reporter import JobReporter
from rh_async._cli.terminal.fields import make_console
from rh_async._cli.terminal.stall_monitor import StallMonitor
from rh_async.batch import ProgressCounter
from rh_async.emulator import Emulator, Fault
from rh_async.errors import JobFailed
from rh_async.events import Settled, Submitted
from tests.cli.conftest import Ended, Shell, plain


async def stopped(
    shell: Shell, line: str, *, when: Callable[[], object], by: int = signal.SIGINT, again: float = 0.0
) -> Ended:
    """Carry a line out, send it a signal a moment after something is so, and perhaps another."""
    command = asyncio.ensure_future(shell(line))
    while not when() and not command.done():  # noqa: ASYNC110 - a ledger has no event to wait for
        await anyio.sleep(1.0)
    await anyio.sleep(1.0)
    for wait in filter(None, (0.001, again)):
        await anyio.sleep(wait)
        assert not command.done()
        os.kill(os.getpid(), by)
    return await command


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_running_job_is_named_with_the_command_that_picks_it_up(
    by: int, site: Emulator, desk: Path, shell: Shell
) -> None:
    ended = await stopped(
        shell, f"run hero.png dance.mp4 --key k -o out --base-url {site.url}", when=lambda: site.ledger.tasks, by=by
    )
    (task,) = site.ledger.tasks
    assert ended.code == 130
    pick_up = f"pick it up: rh-async resume -o out --base-url {site.url}"
    assert ended.err == (
        f"rh-async: interrupted: key k, task {task.task_id} goes on remotely and is billed; {pick_up}\n"
    )
    assert task.status == "RUNNING"


async def test_an_open_post_is_finished_and_its_task_named(site: Emulator, desk: Path, shell: Shell) -> None:
    site.faults.add(Fault("slow_response", route="submit", seconds=20.0))
    ended = await stopped(shell, "run hero.png dance.mp4", when=lambda: site.ledger.faults)
    (task,) = site.ledger.tasks
    assert len(site.ledger.submissions) == 1
    assert "Stopping: what is being sent is finished first" in ended.out
    assert ended.code == 130
    assert f"task {task.task_id} goes on remotely" in ended.err


async def test_an_open_post_without_a_response_is_reported_as_maybe_accepted(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("hang"))
    ended = await stopped(shell, "run hero.png dance.mp4", when=lambda: site.ledger.faults)
    assert ended.code == 130
    assert "interrupted: it is unknown whether the submit was accepted" in ended.err
    assert len(site.ledger.submissions) <= 1


async def test_interrupted_before_the_post_nothing_is_sent_and_the_message_says_so(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("hang", route="upload"))
    ended = await stopped(shell, "run hero.png dance.mp4", when=lambda: site.ledger.faults)
    assert (ended.code, ended.err) == (130, "rh-async: interrupted: the job was not sent, nothing is billed\n")
    assert site.ledger.submissions == []


async def test_a_video_not_yet_saved_is_named(site: Emulator, desk: Path, shell: Shell) -> None:
    site.faults.add(Fault("hang", route="download"))
    ended = await stopped(shell, "run hero.png dance.mp4", when=lambda: site.ledger.faults)
    assert f"task {site.ledger.tasks[0].task_id} has succeeded, its video is not saved; pick it up:" in ended.err


async def test_an_interrupted_call_says_what_may_have_been_done(site: Emulator, shell: Shell) -> None:
    site.faults.add(Fault("hang", route="cancel"))
    ended = await stopped(shell, "cancel 1999", when=lambda: site.ledger.faults)
    assert ended.code == 130
    assert ended.err.endswith("interrupted: the request may have arrived; check: rh-async status 1999\n")
    site.faults.add(Fault("hang", route="query", times=None))
    assert (await stopped(shell, "status 1999", when=lambda: site.ledger.faults)).err.endswith(
        "interrupted: nothing was changed\n"
    )


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the codes that the process would have exited with."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    return codes


async def test_the_second_ctrl_c_leaves_at_once(site: Emulator, desk: Path, shell: Shell, exits: list[int]) -> None:
    site.faults.add(Fault("hang"))
    ended = await stopped(shell, "run hero.png dance.mp4", when=lambda: site.ledger.faults, again=1.0)
    assert exits == [130]
    assert "rh-async: left at once: the job may have been sent; this tells: rh-async resume -o ." in ended.err


async def test_a_ctrl_c_that_is_passed_on_twice_counts_once(
    site: Emulator, desk: Path, shell: Shell, exits: list[int]
) -> None:
    site.faults.add(Fault("hang"))
    ended = await stopped(shell, "run hero.png dance.mp4", when=lambda: site.ledger.faults, again=0.1)
    assert exits == []
    assert ended.code == 130


async def test_a_cancellation_without_a_signal_stays_a_cancellation() -> None:
    async def body() -> None:
        with stop_on_signals(plain(), stopping="", hint=str):
            await anyio.sleep_forever()

    task = asyncio.create_task(body())
    await anyio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_signal_that_nohup_switched_off_stays_off() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals(plain(), stopping="", hint=str):
            os.kill(os.getpid(), signal.SIGHUP)
            await anyio.sleep(1.0)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_job_that_ended_while_stopping_is_reported_with_its_error(site: Emulator) -> None:
    console = plain()
    stall_monitor = StallMonitor(console=console, message="", after=1.0)
    reporter = JobReporter(
        console=console,
        connection=Connection(None),
        progress=ProgressCounter(clock=anyio.current_time),
        stall_monitor=stall_monitor,
    )
    reporter.on_event(Submitted(task_id=TaskId("1"), endpoint="x"))
    reporter.on_event(Settled(task_id=TaskId("1"), error=JobFailed("it failed", task_id=TaskId("1"))))
    assert re.match(r"it failed \(task 1\)\. ", reporter.resume_hint())


async def test_a_job_goes_on_when_its_output_cannot_be_written(
    site: Emulator, desk: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(io.StringIO):
        def write(self, _words: str) -> NoReturn:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

        def flush(self) -> NoReturn:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

        def fileno(self) -> int:
            return held

    held = os.open(os.devnull, os.O_WRONLY)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Gone())
        ended = await shell("run hero.png dance.mp4 -o out")
        assert not make_console().is_terminal
    os.close(held)
    assert ended.code == 0
    assert len(list((desk / "out").glob("*.mp4"))) == len(site.ledger.tasks) == 1


def test_a_character_that_cannot_be_encoded_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(sink, encoding="ascii"))
    _replace_unencodable()
    print("a · b", flush=True)  # noqa: T201 - what is printed is what is tested
    assert sink.getvalue() == b"a ? b\n"
