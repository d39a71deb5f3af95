"""The journal of ``rh-async run``: the same job is submitted once, and a broken journal submits nothing."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sqlite3
import stat
from pathlib import Path

import anyio
import pytest

from rh_async import KlingMotionControl, Session
from rh_async._cli.exit_codes import UsageError
from rh_async._cli.options.journal_options import JournalFile
from rh_async.emulator import Emulator, Fault
from tests.cli.conftest import Shell
from tests.cli.test_interrupts import stopped
from tests.media import film_video

RUN = "run hero.png dance.mp4 -o out"


async def test_the_same_command_submits_once_and_says_so(site: Emulator, desk: Path, shell: Shell) -> None:
    first, second = await shell(RUN), await shell(RUN)
    (task,) = site.ledger.tasks
    assert (first.code, second.code, second.err) == (0, 0, "")
    assert len(site.ledger.submissions) == 1
    assert len(site.ledger.uploads) == 2
    assert "already submitted on 20" in second.out
    assert f" as task {task.task_id}; nothing was sent\n" in second.out
    assert f"saved     out/{task.task_id}_0.mp4\n" in second.out
    assert "upload 0/0 · submit 1/1 · running 1/1 · download 1/1" in second.out


async def test_a_video_deleted_from_disk_is_saved_again_and_not_submitted(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    await shell(RUN)
    (video,) = (desk / "out").glob("*.mp4")
    video.unlink()
    assert (await shell(RUN)).code == 0
    assert video.stat().st_size
    assert (await shell("run hero.png dance.mp4 -o elsewhere")).code == 0
    assert (desk / "elsewhere" / video.name).exists()
    assert len(site.ledger.submissions) == 1


async def test_a_saved_job_is_listed_with_the_status_it_ended_with(site: Emulator, desk: Path, shell: Shell) -> None:
    await shell(RUN)
    (row,) = map(json.loads, (await shell("jobs --json")).out.splitlines())
    assert (row["state"], row["status"]) == ("saved", "SUCCESS")


async def test_resubmit_submits_once_more(site: Emulator, desk: Path, shell: Shell) -> None:
    await shell(RUN)
    ended = await shell(f"{RUN} --resubmit")
    assert ended.code == 0
    assert len(site.ledger.tasks) == 2
    assert "already submitted" not in ended.out


async def test_another_key_is_another_job_and_the_same_key_is_the_same_job(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    printed = [(await shell(f"{RUN} --key {key}")).out for key in ("one", "two", "one")]
    assert ["already submitted" in out for out in printed] == [False, False, True]
    assert "upload 0/0 · submit 1/1" in printed[1]  # the files had gone up before
    assert len(site.ledger.tasks) == 2


async def test_a_key_of_another_job_is_rejected_and_its_video_is_not_returned(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    film_video(desk / "jump.mp4", seconds=4)
    await shell(f"{RUN} --key scene-9")
    ended = await shell("run hero.png jump.mp4 -o out --key scene-9")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    for words in ("scene-9", "'dance.mp4'", "now it is asked for", "'jump.mp4'", "Give this job another key"):
        assert words in ended.err
    assert (len(site.ledger.submissions), len(site.ledger.uploads)) == (1, 2)
    assert (await shell("run hero.png jump.mp4 -o out --key scene-10")).code == 0
    assert len(site.ledger.submissions) == 2


async def test_without_a_journal_each_command_submits(
    site: Emulator, desk: Path, shell: Shell, journal_file: Path
) -> None:
    first, _ = await shell(f"{RUN} --no-journal"), await shell(f"{RUN} --no-journal")
    assert len(site.ledger.tasks) == 2
    assert f"gets its status:\nrh-async status {site.ledger.tasks[0].task_id}\n" in first.out
    assert not journal_file.exists()


async def test_without_a_journal_an_interrupted_job_and_a_lost_link_name_the_status_command(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    ended = await stopped(shell, f"{RUN} --no-journal", when=lambda: site.ledger.tasks)
    look = f"check it: rh-async status {site.ledger.tasks[0].task_id}\n"
    assert ended.err.endswith(look)
    site.faults.add(Fault("expired_link", times=None))
    ended = await shell(f"{RUN} --no-journal")
    assert ended.err.endswith(f"lives for about 24 h: rh-async status {site.ledger.tasks[1].task_id}\n")


async def test_without_a_journal_an_open_post_is_to_be_found_in_the_console(
    site: Emulator, desk: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    site.faults.add(Fault("hang"))
    ended = await stopped(shell, f"{RUN} --no-journal", when=lambda: site.ledger.faults, again=1.0)
    assert codes == [130]
    assert "may have been sent; look into the console's call record" in ended.err


@pytest.mark.parametrize("option", ["--key k", "--resubmit", "--journal j.db"])
async def test_without_a_journal_its_options_are_rejected(
    option: str, site: Emulator, desk: Path, shell: Shell
) -> None:
    ended = await shell(f"{RUN} --no-journal {option}")
    assert ended.code == 2
    assert f"{option.split(maxsplit=1)[0]} is about the journal" in ended.err
    assert site.ledger.submissions == []


async def test_a_failed_job_is_not_submitted_again_by_itself(site: Emulator, desk: Path, shell: Shell) -> None:
    site.faults.add(Fault("moderation"))
    await shell(RUN)
    ended = await shell(RUN)
    assert ended.code == 1
    assert "already submitted on" in ended.out
    assert "Nothing was sent; to submit it once more, and be billed once more, add --resubmit.\n" in ended.err
    assert len(site.ledger.submissions) == 1


async def test_a_saved_job_whose_file_and_link_are_gone_names_the_command(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    await shell(RUN)
    next((desk / "out").glob("*.mp4")).unlink()
    site.faults.add(Fault("expired_link", times=None))
    ended = await shell(RUN)
    assert ended.code == 1
    assert f"this saves it: rh-async save {site.ledger.tasks[0].task_id} -o out\n" in ended.err


async def test_a_running_job_of_an_earlier_command_is_watched_and_not_submitted(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    await stopped(shell, RUN, when=lambda: site.ledger.tasks)
    ended = await shell(RUN)
    assert ended.code == 0
    assert "already submitted on" in ended.out
    assert len(site.ledger.submissions) == 1
    assert len(list((desk / "out").glob("*.mp4"))) == 1


async def test_two_commands_at_once_submit_one_job_and_both_get_its_result(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("slow_response", route="submit", seconds=20.0))
    first = asyncio.ensure_future(shell(RUN))
    while not site.ledger.faults:  # noqa: ASYNC110 - a ledger has no event to wait for
        await anyio.sleep(0.5)
    second = await shell("run hero.png dance.mp4 -o other")
    assert (second.code, (await first).code) == (0, 0)
    assert len(site.ledger.submissions) == 1
    assert "another command is running this very job" in second.out + (await first).out
    assert "already submitted on" in second.out + (await first).out
    assert len(list((desk / "other").glob("*.mp4"))) == len(list((desk / "out").glob("*.mp4"))) == 1


async def test_with_cancel_on_interrupt_the_job_is_cancelled(site: Emulator, desk: Path, shell: Shell) -> None:
    ended = await stopped(shell, f"{RUN} --cancel-on-interrupt", when=lambda: site.ledger.tasks)
    (task,) = site.ledger.tasks
    assert ended.code == 130
    assert "; then it is cancelled. Ctrl-C again" in ended.out
    assert "interrupted: the job was cancelled" in ended.err
    assert task.status == "CANCEL"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"no database at all, whatever it is called" * 9,
            "cannot be read: file is not a database. Name the journal's file (--journal).\n",
        ),
        ("PRAGMA user_version = 99", "made by a newer version of this program (99, known:"),
    ],
)
@pytest.mark.parametrize("line", [RUN, "jobs", "resume", "save some", "discard some", "cancel some"])
async def test_a_file_that_is_no_journal_is_rejected_in_one_line_and_nothing_is_sent(
    line: str, content: bytes | str, message: str, site: Emulator, desk: Path, shell: Shell, journal_file: Path
) -> None:
    if isinstance(content, bytes):
        journal_file.write_bytes(content)
    else:
        with sqlite3.connect(journal_file) as db:
            db.execute(content)
        db.close()
    ended = await shell(line)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert (site.ledger.uploads, site.ledger.submissions) == ([], [])


async def test_a_journal_that_cannot_be_written_is_reported_and_nothing_is_sent(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    for place in ("nowhere/j.db", "out"):
        ended = await shell(f"{RUN} --journal {place}")
        assert ended.code == 2
        assert f"the journal {place} cannot be " in ended.err
    assert site.ledger.submissions == []


async def test_by_default_the_journal_is_in_a_folder_for_its_owner_alone(
    site: Emulator, desk: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RH_ASYNC_JOURNAL")
    monkeypatch.setenv("XDG_DATA_HOME", str(desk / "data"))
    assert (await shell(RUN)).code == 0
    folder = JournalFile().path.parent
    assert folder.is_relative_to(desk)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "journal.db").stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_made_names_the_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delenv("RH_ASYNC_JOURNAL")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="cannot be made: Not a directory; name another file with --journal"):
        JournalFile().prepare()


async def test_an_unconfirmed_submit_names_the_commands_that_decide_and_is_not_repeated(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("drop_after_accept"))
    for _ in range(2):
        ended = await shell(f"{RUN} --key k")
        assert ended.code == 1
        commands = "rh-async confirm k TASK_ID, or rh-async discard k"
        assert ended.err.endswith(f"Then decide: {commands}\n")
        assert "resubmit=True" not in ended.err
    assert len(site.ledger.submissions) == 1


async def test_a_job_submitted_between_look_up_and_claim_is_reported_afterwards(
    site: Emulator, desk: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shell(RUN)
    monkeypatch.setattr("rh_async._cli.commands.run_command.read", lambda *_, **__: [])
    ended = await shell(RUN)
    assert ended.code == 0
    assert "already submitted on" in ended.out
    assert len(site.ledger.submissions) == 1


async def test_a_file_that_disappears_meanwhile_is_reported(
    site: Emulator, desk: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rh_async._cli.commands.run_command.check_files", lambda *_: (desk / "dance.mp4").unlink())
    ended = await shell(RUN)
    assert ended.code == 2
    assert "a file cannot be read" in ended.err


async def test_a_library_session_and_the_command_share_the_journal(
    site: Emulator, desk: Path, shell: Shell, journal_file: Path
) -> None:
    async with Session(journal=journal_file) as session:
        ended = await shell(f"{RUN} --key shared")
        (line,) = (await shell("jobs --json")).out.splitlines()
        assert '"state": "saved"' in line
        again = KlingMotionControl(desk / "hero.png", desk / "dance.mp4", model="kling-v3.0-std")
        result = await session.run(again, idempotency_key="shared")
    assert ended.code == 0
    assert [task.task_id for task in site.ledger.tasks] == [result.task_id]


def test_commands_to_be_copied_are_quoted() -> None:
    assert shlex.join(JournalFile(Path("my journal.db")).arguments) == "--journal 'my journal.db'"
