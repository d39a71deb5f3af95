"""``rh-async run``: by the ledger one job is submitted once, and saved; messages name what picks it up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rh_async._cli.commands.run_command import RunCommand, perform
from rh_async._cli.options.model_options import ModelOptions
from rh_async.emulator import Emulator, Fault
from rh_async.models.registry import aliases
from tests.cli.conftest import Shell, printed, terminal

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("model", aliases())
async def test_each_model_is_submitted_once_and_saved(model: str, site: Emulator, desk: Path, shell: Shell) -> None:
    ended = await shell(f"run hero.png dance.mp4 --model {model} -o out")
    (task,) = site.ledger.tasks
    assert ended.code == 0
    assert ended.err == ""
    assert len(site.ledger.submissions) == 1
    assert (desk / "out" / f"{task.task_id}_0.mp4").stat().st_size
    assert f"saved     out/{task.task_id}_0.mp4\n" in ended.out
    assert re.search(r"cost      [\d.]+ \(currency unknown\)\n", ended.out)
    assert re.search(r"time      [\d.]+ s in all, [\d.]+ s from accepted to done", ended.out)


async def test_the_task_id_and_the_resume_command_are_printed_before_the_job_settles(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    ended = await shell(f"run hero.png dance.mp4 --base-url {site.url}")
    task_id = site.ledger.tasks[0].task_id
    accepted = ended.out.index(f"task {task_id} is accepted")
    assert ended.out.index(f"rh-async resume -o . --base-url {site.url}\n") > accepted
    assert accepted < ended.out.index("running 0/1") < ended.out.index(f"task {task_id} is SUCCESS")
    assert (desk / f"{task_id}_0.mp4").exists()


async def test_every_option_reaches_the_server(site: Emulator, desk: Path, shell: Shell) -> None:
    ended = await shell(
        "run hero.png dance.mp4 --orientation image --prompt hop --negative-prompt blur --no-sound"
        " --webhook-url http://127.0.0.1:9/hook --out out"
    )
    assert ended.code == 0
    body = site.ledger.submissions[0].body
    wanted = {"characterOrientation": "image", "prompt": "hop", "negativePrompt": "blur", "keepOriginalSound": False}
    assert isinstance(body, dict)
    assert wanted.items() <= body.items()
    assert str(body["webhookUrl"]).startswith("http://127.0.0.1:9/hook")


@pytest.mark.parametrize("width", [80, 160])
async def test_a_terminal_shows_four_phases_and_no_invented_time_left(
    width: int, site: Emulator, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rh_async._cli.output.job_view._REDRAW_INTERVAL", 5.0)
    console = terminal(width)
    assert (
        await perform(RunCommand(ModelOptions(image="hero.png", video="dance.mp4"), desk / "out", None, console)) == 0
    )
    shown = printed(console)
    assert all(phase in shown for phase in ("upload", "submit", "running", "download"))
    assert " left" not in shown[: shown.index("is SUCCESS")].split("accepted")[1]
    assert len(site.ledger.tasks) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hero.png nope.mp4", "VIDEO nope.mp4 cannot be read: No such file or directory"),
        ("dance.mp4 hero.png", "the image comes first: rh-async run hero.png dance.mp4"),
        ("hero.png hero.png", "VIDEO hero.png is PNG; kling-v3.0-std takes MP4"),
        ("dance.mp4 dance.mp4", "IMAGE dance.mp4 is MP4; kling-v3.0-std takes JPG or PNG"),
        ("note.txt dance.mp4", "IMAGE note.txt is no known kind of media; kling-v3.0-std takes JPG or PNG"),
        ("empty.png dance.mp4", "IMAGE empty.png is empty"),
        ("hero.png .", "VIDEO . is a directory"),
        ("hero.png /dev/null", "VIDEO /dev/null is no ordinary file"),
        ("'' dance.mp4", "IMAGE '': must be a path, an http(s) link or a data URI;"),
        ("hero.png", 'Command "run" parameter VIDEO requires an argument'),
        ("hero.png dance.mp4 --model wan", 'Invalid value "wan" for --model'),
        ("hero.png dance.mp4 --model wan2.2 --prompt x", "wan2.2 does not take --prompt (these do: kling-v3.0-std,"),
        ("hero.png dance.mp4 --model dreamactor-v2 --no-sound", "dreamactor-v2 does not take --no-sound"),
        ("hero.png dance.mp4 --model wan2.2 --orientation video", "wan2.2 does not take --orientation"),
        ("hero.png dance.mp4 --model kling-v2.6-pro --negative-prompt x", "does not take --negative-prompt"),
        ("http://127.0.0.1/a.png dance.mp4 --model wan2.2", "links are not taken here: download the file and give its"),
        ("hero.png dance.mp4 --webhook-url nope", "--webhook-url 'nope': must start with http"),
        (f"hero.png dance.mp4 --prompt {'x' * 2501}", "has 2,501 characters, the limit is 2,500"),
        ("hero.png dance.mp4 -o note.txt", "--out note.txt cannot be written: File exists"),
        ("hero.png dance.mp4 --base-url ''", "--base-url is empty"),
        ("hero.png dance.mp4 --base-url nowhere", "must look like https://"),
        ("hero.png dance.mp4 --api-key x", "Unknown option: --api-key"),
    ],
)
async def test_a_usage_error_of_run_is_reported_in_one_line_and_nothing_is_sent(
    line: str, message: str, site: Emulator, desk: Path, shell: Shell
) -> None:
    (desk / "note.txt").write_text("words")
    (desk / "empty.png").touch()
    ended = await shell(f"run {line}")
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert (site.ledger.uploads, site.ledger.submissions) == ([], [])


@pytest.mark.parametrize(("key", "message"), [("", "there is no API key: set"), ("a b", "spaces or characters no key")])
async def test_without_an_api_key_nothing_is_sent(
    key: str, message: str, site: Emulator, desk: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNINGHUB_API_KEY", key)
    monkeypatch.delenv("RH_API_KEY", raising=False)
    ended = await shell("run hero.png dance.mp4")
    assert ended.code == 2
    assert message in ended.err
    assert site.ledger.uploads == []


async def test_links_go_to_the_server_as_they_are(site: Emulator, desk: Path, shell: Shell) -> None:
    ended = await shell("run http://127.0.0.1:9/hero.png http://127.0.0.1:9/dance.mp4 --model dreamactor-v2")
    assert ended.code == 0
    assert len(site.ledger.submissions) == 1
    assert site.ledger.uploads == []
    assert "upload 0/0" in ended.out


@pytest.mark.parametrize("kind", ["drop_after_accept", "drop_before_body", "gateway_502"])
async def test_an_unconfirmed_submit_is_sent_once_and_says_what_to_do(
    kind: str, site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault(kind))  # type: ignore[arg-type]
    ended = await shell("run hero.png dance.mp4")
    assert ended.code == 1
    assert len(site.ledger.submissions) == 1
    assert "it is unknown whether the submit was accepted" in ended.err
    assert "It was not sent again" in ended.err
    assert "submit again only if it is not there" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(("code", "message"), [("416", "Top up the account"), ("1014", "enterprise-shared API key")])
async def test_a_rejected_account_is_reported(
    code: str, message: str, site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("error_code", code=code))
    ended = await shell("run hero.png dance.mp4")
    assert ended.code == 3
    assert message in ended.err
    assert site.ledger.tasks == []


async def test_a_failed_job_says_why(site: Emulator, desk: Path, shell: Shell) -> None:
    site.faults.add(Fault("moderation"))
    ended = await shell("run hero.png dance.mp4")
    assert ended.code == 1
    assert f"code 1501: Content verification failed, 改提示词或图片 (task {site.ledger.tasks[0].task_id}" in ended.err


async def test_a_video_that_cannot_be_fetched_leaves_the_command_that_saves_it(
    site: Emulator, desk: Path, shell: Shell
) -> None:
    site.faults.add(Fault("expired_link", times=None))
    ended = await shell("run hero.png dance.mp4")
    save = f"rh-async save {site.ledger.tasks[0].task_id} -o ."
    assert ended.code == 1
    assert f"The job is done and billed; its link lives for about 24 h; this saves it: {save}\n" in ended.err


async def test_a_full_account_is_waited_for_and_reported(site: Emulator, desk: Path, shell: Shell) -> None:
    site.faults.add(Fault("error_code", code="421", times=3))
    ended = await shell("run hero.png dance.mp4")
    assert ended.code == 0
    assert "waiting: the account admits no more jobs for now" in ended.out
    assert len(site.ledger.tasks) == 1


async def test_an_unreachable_server_is_reported_once_and_waited_for(site: Emulator, desk: Path, shell: Shell) -> None:
    site.refuse_connections(25.0)
    ended = await shell("run hero.png dance.mp4")
    assert ended.code == 0
    assert ended.out.count(f"waiting for the network: nothing heard from {site.url} for 5 s") == 1
    assert len(site.ledger.tasks) == 1
