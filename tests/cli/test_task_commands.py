"""``rh-async status``, ``account`` and ``cancel``: they print what the server's ledger has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from rh_async import DreamActor, Output, Session, Snapshot, TaskId, Usage
from rh_async._cli.commands.task_commands import account_fields, cancel_result
from rh_async._cli.options.connection import Connection
from rh_async._cli.terminal.fields import format_cost, format_wallet, printable, snapshot_fields
from rh_async.emulator import Emulator, Fault
from rh_async.types import Account
from tests.cli.conftest import Shell


@pytest.fixture
async def task_id(site: Emulator, desk: Path) -> AsyncIterator[str]:
    """A task that runs."""
    async with Session() as session:
        job = await session.submit(DreamActor("hero.png", "dance.mp4"))
        yield await job.accepted()


async def test_account_shows_key_type_limit_tasks_and_balance(task_id: str, site: Emulator, shell: Shell) -> None:
    ended = await shell("account")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "key type  SHARED",
        "limit     7 tasks at once",
        "running   1",
        "queued    0",
        f"balance   CNY {100 - site.ledger.total_charged}, 0 RH coins",
    ]


def test_what_the_server_does_not_say_of_the_account_is_unknown() -> None:
    assert {fact for _, fact in account_fields(Account())} == {"unknown"}


async def test_status_queries_a_running_task_once(task_id: str, site: Emulator, shell: Shell) -> None:
    ended = await shell(f"status {task_id}")
    assert (ended.code, ended.out) == (0, f"task      {task_id}\nstatus    RUNNING\n")
    assert len([asked for asked in site.ledger.calls if asked.kind == "query"]) <= 2


async def test_a_task_that_succeeded_shows_type_link_and_cost(task_id: str, site: Emulator, shell: Shell) -> None:
    await anyio.sleep(1000)
    ended = await shell(f"status {task_id}")
    assert ended.code == 0
    assert "status    SUCCESS\n" in ended.out
    assert f"output 0  mp4 {site.url}/" in ended.out
    assert f"cost      {site.ledger.total_charged} (currency unknown)" in ended.out


async def test_a_task_that_failed_shows_code_and_message_and_ends_with_1(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("failed", code="1501"))
    assert (await shell("run hero.png dance.mp4")).code == 1
    ended = await shell(f"status {site.ledger.tasks[0].task_id}")
    assert ended.code == 1
    assert "error     1501: Content" in ended.out


@pytest.mark.parametrize("command", ["status", "cancel"])
@pytest.mark.parametrize(
    ("given", "code", "message"), [("1999", 1, "code 1004"), ("latest", 2, "is no task id"), ("", 2, "requires an arg")]
)
async def test_a_name_that_is_no_task_is_rejected(
    command: str, given: str, code: int, message: str, site: Emulator, shell: Shell
) -> None:
    ended = await shell(f"{command} {given}")
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1


async def test_a_running_task_is_cancelled(task_id: str, site: Emulator, shell: Shell) -> None:
    first, second = await shell(f"cancel {task_id}"), await shell(f"status {task_id}")
    assert (first.code, second.code) == (0, 1)
    assert first.out.endswith("so        it is cancelled\n")
    assert [task.status for task in site.ledger.tasks] == ["CANCEL"]


async def test_a_settled_task_cannot_be_cancelled_and_the_output_says_so(
    task_id: str, site: Emulator, shell: Shell
) -> None:
    await anyio.sleep(1000)
    ended = await shell(f"cancel {task_id}")
    assert ended.code == 1
    assert "status    SUCCESS\n" in ended.out
    assert ended.out.endswith("so        it was not cancelled: it was over already\n")


async def test_a_task_that_does_not_stop_is_reported_with_the_status_command(site: Emulator) -> None:
    verdict = cancel_result(Snapshot(task_id=TaskId("12"), status="RUNNING"), Connection(None))
    assert verdict == "it was asked to stop and still goes on; check again: rh-async status 12"


async def test_a_rejected_api_key_names_the_option_that_chooses_the_site(
    site: Emulator, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNINGHUB_API_KEY", "0" * 32)
    ended = await shell("account")
    assert ended.code == 3
    assert "(--base-url)" in ended.err


async def test_a_wrong_port_is_given_up_within_half_a_minute_and_reported_meanwhile(
    site: Emulator, shell: Shell
) -> None:
    site.refuse_connections(3600.0)
    began = anyio.current_time()
    ended = await shell("account")
    assert ended.code == 2
    assert anyio.current_time() - began <= 30
    waiting, last = ended.err.splitlines()
    assert waiting.startswith(f"waiting for the network: no answer from {site.url} yet")
    assert last.startswith(f"rh-async: nothing answers at {site.url}: check the address")


async def test_a_server_that_never_answers_is_given_up_within_half_a_minute(site: Emulator, shell: Shell) -> None:
    site.faults.add(Fault("hang", route="account", times=None))
    began = anyio.current_time()
    assert (await shell("account")).code == 2
    assert anyio.current_time() - began <= 31


async def test_a_rate_limit_is_waited_out_and_reported(site: Emulator, shell: Shell) -> None:
    site.faults.add(Fault("http_429", route="account", retry_after=4))
    ended = await shell("account")
    assert ended.code == 0
    assert ended.err.startswith("the server asks for fewer requests; waiting ")
    assert "network" not in ended.err


def test_no_control_character_of_a_server_reaches_the_terminal() -> None:
    assert printable("a\x1b[2Jb\n c\u202ed\udcff") == "a\ufffd[2Jb c\ufffdd\ufffd"


def test_amounts_are_formatted_as_far_as_they_are_known() -> None:
    assert format_wallet(Decimal("1E+2"), "USD", Decimal(3)) == "USD 100, 3 RH coins"
    assert format_cost(Usage()) == "unknown"
    assert format_cost(Usage(coins=Decimal(0), money=Decimal("0.5"))) == "0.5 (currency unknown)"


def test_a_text_output_and_the_servers_run_time_are_listed() -> None:
    snapshot = Snapshot(
        task_id=TaskId("1"),
        status="SUCCESS",
        outputs=(Output(text="once\nupon"),),
        usage=Usage(seconds=Decimal("12.0")),
    )
    facts = dict(snapshot_fields(snapshot))
    assert facts["output 0"] == "once\nupon"
    assert facts["run time"] == "12.0 s"
