"""``rh-async resume``, ``confirm``, ``discard`` and ``save``: unfinished jobs are never submitted again."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path

import anyio
import pytest

from rh_async import DreamActor, KlingMotionControl, ModelRequest, Session, SubmitUnknown
from rh_async.emulator import Emulator, Fault
from tests.cli.conftest import Shell
from tests.cli.test_interrupts import stopped

LINKED = DreamActor("http://127.0.0.1:9/hero.png", "http://127.0.0.1:9/dance.mp4")


async def left_running(journal_file: Path, *keys: str) -> list[str]:
    """Submit jobs, and leave them."""
    async with Session(journal=journal_file) as session:
        return [await (await session.submit(LINKED, idempotency_key=key)).accepted() for key in keys]


async def test_an_interrupted_job_is_watched_and_saved_in_its_folder(site: Emulator, desk: Path, shell: Shell) -> None:
    await stopped(shell, "run hero.png dance.mp4 -o wanted", when=lambda: site.ledger.tasks)
    (task,) = site.ledger.tasks
    ended = await shell("resume -o other")
    assert (ended.code, ended.err) == (0, "")
    path = desk / "wanted" / f"{task.task_id}_0.mp4"
    assert path.stat().st_size
    assert f"task {task.task_id} is saved: {path}\n" in ended.out
    assert "submit 1/1 · running 1/1 · download 1/1" in ended.out
    assert len(site.ledger.submissions) == 1
    again = await shell("resume")
    assert (again.code, again.out.count("nothing to pick up")) == (0, 1)


async def test_a_job_without_a_folder_is_saved_in_the_given_one(
    site: Emulator, desk: Path, shell: Shell, journal_file: Path
) -> None:
    ids = await left_running(journal_file, "one", "two", "three")
    ended = await shell("resume -o here")
    assert ended.code == 0
    assert {path.name for path in (desk / "here").glob("*")} == {f"{task_id}_0.mp4" for task_id in ids}
    assert len(site.ledger.submissions) == 3


async def test_a_job_that_ended_without_being_saved_is_saved(site: Emulator, desk: Path, shell: Shell) -> None:
    site.faults.add(Fault("hang", route="download"))
    await stopped(shell, "run hero.png dance.mp4 -o out", when=lambda: site.ledger.faults)
    assert "succeeded, not saved yet: rh-async resume\n" in (await shell("jobs")).out
    ended = await shell("resume")
    assert ended.code == 0
    assert len(list((desk / "out").glob("*.mp4"))) == 1


async def test_a_save_that_fails_is_reported_each_time_until_it_succeeds(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("expired_link", times=None))
    await shell("run hero.png dance.mp4 --key k")
    ended = await shell("resume")
    assert ended.code == 1
    assert "key k: the link answered HTTP 403" in ended.out


async def test_a_job_that_failed_meanwhile_is_reported(site: Emulator, desk: Path, shell: Shell) -> None:
    site.faults.add(Fault("failed", code="1501"))
    await stopped(shell, "run hero.png dance.mp4 --key k", when=lambda: site.ledger.tasks)
    ended = await shell("resume")
    assert ended.code == 1
    assert "key k: the job failed with code 1501" in ended.out
    assert "FAILED: 1501: " in (await shell("jobs --state settled")).out


async def test_an_interrupted_resume_names_what_runs_and_its_own_command(
    site: Emulator, desk: Path, shell: Shell, journal_file: Path
) -> None:
    one, two = await left_running(journal_file, "one", "two")
    asked = len(site.ledger.calls)
    ended = await stopped(shell, "resume -o out", when=lambda: len(site.ledger.calls) > asked)
    assert ended.code == 130
    each = {f"{one} (key one)", f"{two} (key two)"}
    assert "interrupted: 2 tasks go on remotely and are billed: " in ended.err
    assert all(words in ended.err for words in each)
    assert ended.err.endswith("; pick up: rh-async resume -o out\n")
    assert (await shell("resume -o out")).code == 0
    assert len(list((desk / "out").glob("*.mp4"))) == 2


async def test_a_resume_interrupted_while_it_saves_names_its_own_command(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("hang", route="download", times=2))
    await stopped(shell, "run hero.png dance.mp4", when=lambda: site.ledger.faults)
    ended = await stopped(shell, "resume", when=lambda: len(site.ledger.faults) > 1)
    assert ended.err.endswith("interrupted: nothing runs remotely; what is not saved yet: rh-async resume -o .\n")


async def test_a_job_of_a_live_process_is_left_to_it(site: Emulator, desk: Path, shell: Shell) -> None:
    running = asyncio.ensure_future(shell("run hero.png dance.mp4 -o out"))
    while not site.ledger.tasks:  # noqa: ASYNC110 - a ledger has no event to wait for
        await anyio.sleep(0.5)
    ended = await shell("resume")
    assert ended.code == 0
    assert "run by another command" in ended.out
    assert f"1 job belongs to process {os.getpid()}, which is still running\n" in ended.out
    assert (await running).code == 0
    assert len(site.ledger.submissions) == 1


async def test_an_unconfirmed_submission_is_listed_with_the_commands_that_decide(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("drop_after_accept"))
    await shell("run hero.png dance.mp4 --key k -o out")
    (task,) = site.ledger.tasks
    ended = await shell("resume")
    assert ended.code == 1
    assert re.search(r"^unconfirmed: key k, sent 20\S+ \S+ to kling-v3.0-std: .*hero.png", ended.out, re.MULTILINE)
    assert ended.out.endswith("rh-async confirm k TASK_ID\nrh-async discard k\n")
    adopted = await shell(f"confirm k {task.task_id}")
    assert (adopted.code, adopted.out) == (
        0,
        f"k is task {task.task_id}; this watches and saves it:\nrh-async resume\n",
    )
    assert (await shell("resume")).code == 0
    assert (desk / "out" / f"{task.task_id}_0.mp4").exists()
    assert len(site.ledger.submissions) == 1


async def test_a_discarded_submission_is_sent_by_the_next_command_and_not_before(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("drop_before_body"))
    await shell("run hero.png dance.mp4 --key k")
    ended = await shell("discard k")
    assert ended.code == 0
    assert "Nothing was submitted now; this submits it anew:\nrh-async run hero.png dance.mp4" in ended.out
    assert site.ledger.tasks == []
    assert (await shell("run hero.png dance.mp4 --key k")).code == 0
    assert len(site.ledger.tasks) == 1


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--key 'my key' -o 'my out'",
        "--model kling-v2.6-pro --orientation image --prompt 'hop, and turn' --no-sound",
        "--model kling-v3.0-pro --negative-prompt blur",
        "--model dreamactor-v2",
        "--model wan2.2",
    ],
)
async def test_discard_names_the_whole_command_that_submits_the_same_anew(
    options: str, site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("gateway_502"))
    ended = await shell(f"run hero.png dance.mp4 {options}")
    key = re.search(r"rh-async discard ('.+'|\S+)$", ended.err, re.MULTILINE)
    assert key is not None
    ended = await shell(f"discard {key[1]}")
    assert (ended.code, site.ledger.tasks) == (0, [])
    *_, message, command = ended.out.splitlines()
    assert message == "Nothing was submitted now; this submits it anew:"
    assert command.startswith("rh-async run hero.png dance.mp4 ")
    assert "--resubmit" in command
    assert (await shell(command.removeprefix("rh-async "))).code == 0
    assert len(site.ledger.tasks) == 1
    lost, bought = site.ledger.submissions
    assert lost.body == bought.body
    assert [row["state"] for row in map(json.loads, (await shell("jobs --json")).out.splitlines())] == [
        "abandoned",
        "saved",
    ]


async def test_discard_names_no_command_where_none_asks_for_the_same(
    site: Emulator, desk: Path, shell: Shell, journal_file: Path
) -> None:
    site.faults.add(Fault("drop_before_body", times=2))
    long = "word " * 400
    requests = {
        "own": ModelRequest("own/model", {"seed": 1}),
        "long": KlingMotionControl("a.png", "b.mp4", prompt=long),
    }
    (desk / "a.png").write_bytes((desk / "hero.png").read_bytes())
    (desk / "b.mp4").write_bytes((desk / "dance.mp4").read_bytes())
    async with Session(journal=journal_file) as session:
        for key, request in requests.items():
            with pytest.raises(SubmitUnknown):
                await session.run(request, idempotency_key=key)
    for key in requests:
        out = (await shell(f"discard {key}")).out
        assert "the command that asked for it submits it anew. Its inputs:\n{" in out


async def test_a_key_may_be_named_by_its_beginning_if_no_other_begins_so(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    await shell("run hero.png dance.mp4")
    for number in (1, 2):
        await shell(f"run hero.png dance.mp4 --key scene-{number}")
    (shown,) = re.findall(r"key (auto-\w+)$", (await shell("jobs")).out, re.MULTILINE)
    assert len(shown) == len("auto-12345678")
    assert (await shell(f"save {shown} -o a")).code == 0
    assert (await shell("save scene-2 -o b")).code == 0
    ended = await shell("save scene -o c")
    assert (ended.code, ended.out) == (2, "")
    assert "several keys begin with scene: scene-1, scene-2; give more of the one you mean" in ended.err
    assert f"{site.ledger.tasks[0].task_id}_0.mp4" in {path.name for path in (desk / "a").iterdir()}
    assert "is saved, not uncertain" in (await shell(f"discard {shown}")).err
    assert "it was not cancelled: it was over already" in (await shell(f"cancel {shown}")).out
    (key,) = [one for one in map(json.loads, (await shell("jobs --json")).out.splitlines()) if "auto" in one["key"]]
    assert key["key"].startswith(shown)
    assert len(key["key"]) == len("auto-") + 32


async def test_the_same_command_queries_a_lost_task_again_and_resubmit_submits_it_if_still_unknown(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("error_code", route="query", code="1004", times=None))
    for _ in range(2):
        ended = await shell("run hero.png dance.mp4 --key k -o out")
        assert ended.code == 1
        assert "The same command asks the server again; with --resubmit it submits anew" in ended.err
    assert len(site.ledger.submissions) == 1
    await shell("run hero.png dance.mp4 --key k -o out --resubmit")
    assert len(site.ledger.submissions) == 2
    site.faults.clear()
    ended = await shell("run hero.png dance.mp4 --key k -o out --resubmit")
    assert (ended.code, "already submitted on" in ended.out) == (0, True)
    assert len(site.ledger.submissions) == 2


async def test_a_lost_task_is_resumed_once_the_server_knows_it_again(
    site: Emulator, desk: Path, shell: Shell, journal_file: Path
) -> None:
    await left_running(journal_file, "k")
    site.faults.add(Fault("error_code", route="query", code="1004", times=None))
    ended = await shell("resume -o out")
    assert (ended.code, "the server does not know the task" in ended.out) == (1, True)
    assert "the server did not know it when last asked: rh-async resume asks again\n" in (await shell("jobs")).out
    again = await shell("resume -o out")
    assert again.code == 0
    assert "the server still does not know it; each resume asks again" in again.out
    site.faults.clear()
    ended = await shell("resume -o out")
    assert (ended.code, "submit 1/1 · running 1/1 · download 1/1" in ended.out) == (0, True)
    assert len(list((desk / "out").glob("*.mp4"))) == 1
    assert len(site.ledger.submissions) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("discard unknown", "no job has the key 'unknown' in the journal"),
        ("discard k", "the submission is saved, not uncertain"),
        ("confirm k 2013508786110730241", "the submission is saved, not uncertain"),
        ("confirm k latest", "is no task id"),
        ("save unknown", "'unknown' is no task id, and no job"),
        ("cancel unknown", "'unknown' is no task id, and no job"),
        ("jobs --state gone", 'Invalid value "gone" for --state'),
    ],
)
async def test_an_impossible_decision_is_rejected_in_one_line(
    line: str, message: str, site: Emulator, desk: Path, shell: Shell
) -> None:
    await shell("run hero.png dance.mp4 --key k")
    ended = await shell(line)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert len(site.ledger.submissions) == 1


async def test_a_submission_being_sent_cannot_be_decided_about(
    site: Emulator, desk: Path, shell: Shell, journal_file: Path
) -> None:
    site.faults.add(Fault("hang"))
    running = asyncio.ensure_future(shell("run hero.png dance.mp4 --key k"))
    while not site.ledger.faults:  # noqa: ASYNC110 - a ledger has no event to wait for
        await anyio.sleep(0.5)
    assert "another command is sending it now" in (await shell("discard k")).err
    assert "being sent\n" in (await shell("jobs")).out
    assert "k is submitting: it has no task\n" in (await shell("cancel k")).err
    copied = journal_file.read_bytes(), journal_file.with_name("journal.db-wal").read_bytes()
    await running
    left = journal_file.with_name("left.db")
    left.write_bytes(copied[0])
    left.with_name("left.db-wal").write_bytes(copied[1])
    assert "its process ended while it was sent: rh-async resume\n" in (await shell("jobs --journal left.db")).out
    ended = await shell("discard k --journal left.db")
    assert ended.err.endswith("its process ended while it was sent; first: rh-async resume --journal left.db\n")
    assert "unconfirmed: key k" in (await shell("resume --journal left.db")).out
    assert (await shell("discard k --journal left.db")).code == 0


async def test_a_job_is_saved_by_key_and_by_task_id(site: Emulator, desk: Path, shell: Shell) -> None:
    await shell("run hero.png dance.mp4 --key k")
    (task,) = site.ledger.tasks
    for name, folder in (("k", "a"), (task.task_id, "b")):
        ended = await shell(f"save {name} -o {folder}")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith(f"saved     {folder}/{task.task_id}_0.mp4\ncost ")
        assert (desk / folder / f"{task.task_id}_0.mp4").stat().st_size


async def test_a_task_that_is_not_in_the_journal_is_queried_and_saved(site: Emulator, desk: Path, shell: Shell) -> None:
    async with Session() as session:
        task_id = await (await session.submit(LINKED)).accepted()
    ended = await shell(f"save {task_id}")
    assert ended.code == 1
    assert ended.out.endswith("so        there is nothing to save\n")
    await anyio.sleep(1000)
    assert (await shell(f"save {task_id}")).code == 0
    assert (desk / f"{task_id}_0.mp4").exists()


async def test_saving_a_running_job_names_the_command_that_waits(
    site: Emulator, desk: Path, shell: Shell, journal_file: Path
) -> None:
    (task_id,) = await left_running(journal_file, "k")
    ended = await shell("save k -o out")
    assert ended.code == 1
    assert ended.out.startswith(f"task      {task_id}\nstatus    RUNNING\n")
    assert ended.out.endswith("there is nothing to save yet; this waits for it: rh-async resume -o out\n")


async def test_an_interrupted_save_names_its_own_command(site: Emulator, desk: Path, shell: Shell) -> None:
    await shell("run hero.png dance.mp4 --key k")
    site.faults.add(Fault("hang", route="download"))
    ended = await stopped(shell, "save k -o out", when=lambda: site.ledger.faults)
    assert ended.err.endswith("once more: rh-async save k -o out\n")


async def test_a_job_is_cancelled_by_key_and_a_task_even_with_a_broken_journal(
    site: Emulator, desk: Path, shell: Shell, journal_file: Path
) -> None:
    _, two = await left_running(journal_file, "one", "two")
    assert (await shell("cancel one")).code == 0
    (desk / "broken.db").write_text("no database at all, whatever it is called" * 9)
    assert (await shell(f"cancel {two} --journal broken.db")).code == 0
    assert [task.status for task in site.ledger.tasks] == ["CANCEL", "CANCEL"]


async def test_a_name_of_two_jobs_is_rejected(site: Emulator, desk: Path, shell: Shell, journal_file: Path) -> None:
    (task_id,) = await left_running(journal_file, "one")
    await left_running(journal_file, task_id)
    ended = await shell(f"cancel {task_id}")
    assert ended.code == 2
    assert "is the key of one job and another's task id" in ended.err


async def test_json_rows_have_everything_but_the_raw_response(
    site: Emulator, desk: Path, shell: Shell, journal_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shell("run hero.png dance.mp4 --key k -o out")
    monkeypatch.delenv("RUNNINGHUB_API_KEY")
    monkeypatch.setenv("COLUMNS", "80")
    (row,) = map(json.loads, (await shell("jobs --json")).out.splitlines())
    task_id = site.ledger.tasks[0].task_id
    assert (row["site"], row["key"], row["attempt"], row["state"]) == (site.url, "k", 1, "saved")
    assert row["paths"] == [str(desk / "out" / f"{task_id}_0.mp4")]
    assert row["inputs"]["imageUrl"] == "hero.png"
    assert "raw" not in row
    assert (await shell("jobs --json --state settled --state uncertain")).out == ""


async def test_jobs_of_another_api_key_are_named_and_left_alone(
    site: Emulator, desk: Path, shell: Shell, journal_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.faults.add(Fault("expired_link", times=None))
    await shell("run hero.png dance.mp4 --key done")
    (task_id,) = await left_running(journal_file, "mine")
    mine = site.api_key
    monkeypatch.setenv("RUNNINGHUB_API_KEY", next(key for key in site.keys.values() if key != mine))
    ended = await shell("resume")
    assert ended.code == 1
    assert f"key mine, task {task_id}: left alone: it belongs to another API key" in ended.out
    assert "key done, task " in ended.out
    assert "submit 0/0 · running 0/0 · download 0/0" in ended.out
    monkeypatch.setenv("RUNNINGHUB_API_KEY", mine)
    site.faults.clear()
    assert (await shell("resume")).code == 0
    assert (desk / f"{task_id}_0.mp4").exists()
