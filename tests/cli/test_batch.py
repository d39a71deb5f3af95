"""``rh-async batch``: by the ledger every job is submitted once; the same command continues an interrupted run."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import signal
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rh_async._cli.commands.batch_command import perform
from rh_async._cli.exit_codes import ExitCode, Interrupted
from rh_async._cli.options.batch_model_options import BatchModelOptions
from rh_async._cli.options.batch_options import BatchCommand, BatchRunOptions
from rh_async._cli.options.batch_sources import SourceOptions
from rh_async._cli.output.reporter import Reporter
from rh_async.emulator import Emulator, Fault
from tests.batch.makers import film, paint
from tests.cli.conftest import Shell, plain, printed, terminal


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of three seconds and one of four; all differ."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(5):
        film(folder / f"clip{number}.mp4", seconds=3 + number // 4, size=(352 + 16 * number, 352))
    return folder


@pytest.fixture
def there(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands are typed: a folder of clips, two characters."""
    (tmp_path / "clips").symlink_to(clips)
    (tmp_path / "heroes").mkdir()
    paint(tmp_path / "heroes" / "fox.png", size=(480, 640))
    paint(tmp_path / "heroes" / "frog.png", size=(480, 700))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> list[str]:
    """What the videos are called, without their task ids."""
    return sorted(path.name.rpartition("__")[0] for path in folder.glob("*.mp4"))


def events(out: str, kind: str) -> list[dict[str, Any]]:
    """The events of one kind."""
    return [event for event in map(json.loads, out.splitlines()) if event["event"] == kind]


async def test_a_folder_of_clips_becomes_a_folder_of_videos(there: Path, site: Emulator, shell: Shell) -> None:
    ended = await shell("batch clips --image heroes/fox.png -o out")
    assert ended.code == 0
    assert len(site.ledger.tasks) == len(site.ledger.submissions) == 5
    assert names(there / "out") == [f"clip{number}__fox" for number in range(5)]
    assert len(list((there / "out").glob("*.json"))) == 5
    assert len((there / "out" / "batch.jsonl").read_text().splitlines()) == 5
    assert "plan      5 jobs, 5 ready\n" in ended.out
    assert re.search(r"price +CNY [\d.]+, by the price list of \S+ \(the China site's\)\n", ended.out)
    assert f"to submit 5 jobs for CNY {site.ledger.total_charged:.2f} by the server\n" in ended.out
    assert "balance   CNY 100\n" in ended.out
    assert ended.out.index("price  ") < ended.out.index("saved        5")
    assert len(re.findall(r"^\d\d:\d\d:\d\d  saved clip\d × fox \(task \d+\): ", ended.err, re.MULTILINE)) == 5
    assert re.search(r"^\d\d:\d\d:\d\d  waiting \d+ · uploading .* in flight \d", ended.err, re.MULTILINE)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("clips --image heroes --pair product", 10),
        ("clips --image heroes --pair product --limit 3 --shuffle 1", 3),
        ("'clips/clip[01].mp4' --image heroes --pair zip", 2),
        ("clips/clip4.mp4 --image heroes/fox.png --model dreamactor-v2", 1),
        ("clips/clip4.mp4 --image heroes/fox.png --model wan2.2", 1),
        ("clips/clip4.mp4 --image heroes/fox.png --model bytedance/dreamactor-v2", 1),
    ],
)
async def test_jobs_are_planned_as_the_options_say(
    line: str, wanted: int, there: Path, site: Emulator, shell: Shell
) -> None:
    ended = await shell(f"batch {line} --skip-refused -o out")
    bodies = {json.dumps(submission.body, sort_keys=True) for submission in site.ledger.submissions}
    assert (ended.code, len(site.ledger.tasks), len(bodies)) == (0, wanted, wanted), ended


async def test_every_option_reaches_the_server(there: Path, site: Emulator, shell: Shell) -> None:
    ended = await shell(
        "batch clips/clip0.mp4 --image heroes/fox.png --orientation image --prompt hop --negative-prompt blur"
        " --no-sound --element 7 --webhook-url http://127.0.0.1:9/hook --naming {number:03}-{clip}.mp4"
    )
    (submission,) = site.ledger.submissions
    assert ended.code == 0
    wanted = {"characterOrientation": "image", "prompt": "hop", "negativePrompt": "blur", "keepOriginalSound": False}
    assert isinstance(submission.body, dict)
    assert (wanted | {"elementList": ["7"]}).items() <= submission.body.items()
    assert str(submission.body["webhookUrl"]).startswith("http://127.0.0.1:9/hook")
    assert (there / "out" / "001-clip0.mp4").exists()


async def test_options_set_what_the_rows_of_a_manifest_leave_open(there: Path, site: Emulator, shell: Shell) -> None:
    (there / "lists").mkdir()
    (there / "lists" / "jobs.csv").write_text("video,prompt\n../clips/clip0.mp4,one\n../clips/clip1.mp4,\n")
    ended = await shell("batch --manifest lists/jobs.csv --image heroes/fox.png --prompt other")
    assert ended.code == 0
    bodies = [submission.body for submission in site.ledger.submissions]
    assert sorted(str(body["prompt"]) for body in bodies if isinstance(body, dict)) == ["one", "other"]


async def test_the_same_command_again_submits_nothing_and_makes_no_call_about_its_jobs(
    there: Path, site: Emulator, shell: Shell
) -> None:
    await shell("batch clips --image heroes/fox.png")
    before = len(site.ledger.uploads), len(site.ledger.calls)
    ended = await shell("batch clips --image heroes/fox.png")
    assert ended.code == 0
    assert len(site.ledger.tasks) == 5
    assert (len(site.ledger.uploads), len(site.ledger.calls)) == before
    assert "already_done 5       done by an earlier run" in ended.out


async def test_skip_refused_runs_the_jobs_that_are_ready(there: Path, site: Emulator, shell: Shell) -> None:
    (there / "more").mkdir()
    (there / "more" / "zero.mp4").touch()
    refused = await shell("batch clips more --image heroes/fox.png")
    assert (refused.code, len(site.ledger.uploads)) == (2, 0)
    assert "--skip-refused sends the 5 that are ready; nothing was sent" in refused.err
    ended = await shell("batch clips more --image heroes/fox.png --skip-refused")
    assert (ended.code, len(site.ledger.tasks)) == (0, 5)


async def test_failed_jobs_are_listed_and_submitted_again_with_retry_failed_only(
    there: Path, site: Emulator, shell: Shell
) -> None:
    site.faults.add(Fault("moderation", times=2))
    first = await shell("batch clips --image heroes/fox.png")
    assert first.code == 1
    assert "failed       2       ended without a result\n" in first.out
    words = r"→ the same command with --retry-failed submits them again \(CNY (\d\.\d\d) by the list\)"
    offer = re.search(words, first.out)
    assert offer is not None, first.out
    again = await shell("batch clips --image heroes/fox.png")
    assert (again.code, len(site.ledger.tasks)) == (1, 5)
    retried = await shell("batch clips --image heroes/fox.png --retry-failed")
    assert (retried.code, len(site.ledger.tasks)) == (0, 7)
    assert f"retry     2 failed before and will be submitted again: CNY {offer[1]}\n" in retried.out


async def test_a_key_of_another_job_is_rejected_and_no_retry_is_offered(
    there: Path, site: Emulator, shell: Shell
) -> None:
    rows = "video,key\nclips/clip{}.mp4,scene-9\n"
    (there / "jobs.csv").write_text(rows.format(0))
    line = "batch --manifest jobs.csv --image heroes/fox.png"
    assert (await shell(line)).code == 0
    (there / "jobs.csv").write_text(rows.format(1))
    ended = await shell(line)
    assert ended.code == 1
    assert "clip0.mp4" in ended.out
    assert "give each job whose key is in use a key of its own" in ended.out
    assert "--retry-failed" not in ended.out
    assert len(site.ledger.submissions) == 1


async def test_check_reports_a_key_of_another_job_before_anything_is_sent(
    there: Path, site: Emulator, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "video,key\nclips/clip{}.mp4,scene-9\nclips/clip2.mp4,scene-2\nclips/clip3.mp4,\n"
    (there / "jobs.csv").write_text(table.format(0))
    line = "batch --manifest jobs.csv --image heroes/fox.png"
    assert (await shell(f"{line} --check")).code == 0  # there is no journal yet
    assert (await shell(line)).code == 0
    monkeypatch.delenv("RUNNINGHUB_API_KEY")
    assert (await shell(f"{line} --check")).code == 0
    (there / "jobs.csv").write_text(table.format(1))
    ended = await shell(f"{line} --check")
    assert ended.code == 2
    assert "jobs.csv:2: its key 'scene-9' was submitted as task" in ended.out
    assert ended.out.count("clip0.mp4'; now it is asked for with") == 1
    assert (await shell(f"{line} --check --no-journal")).code == 0
    assert len(site.ledger.submissions) == 3


async def test_a_journal_without_the_folders_jobs_submits_nothing_unless_new_journal_is_given(
    there: Path, site: Emulator, shell: Shell
) -> None:
    line = "batch clips/clip0.mp4 --image heroes/fox.png -o out"
    assert (await shell(line)).code == 0
    ended = await shell(f"{line} --journal other.db")
    assert ended.code == 2
    assert "out/batch.jsonl has a job that the journal other.db does not have; they would be submitted" in ended.err
    assert len(site.ledger.submissions) == 1
    assert (await shell(f"{line} --journal other.db --new-journal")).code == 0
    assert len(site.ledger.submissions) == 2
    more = "batch clips/clip0.mp4 clips/clip1.mp4 --image heroes/fox.png -o out"
    for journal in ("", "--journal other.db"):  # each knows some
        assert (await shell(f"{more} {journal}")).code == 0
    assert len(site.ledger.submissions) == 4


async def test_the_cost_of_a_retry_says_that_lost_tasks_are_queried_before_they_are_submitted_again(
    there: Path, site: Emulator, shell: Shell
) -> None:
    site.faults.add(Fault("error_code", route="query", code="1004", times=None))
    assert (await shell("batch clips/clip0.mp4 --image heroes/fox.png")).code == 1
    site.faults.clear()
    ended = await shell("batch clips/clip0.mp4 --image heroes/fox.png --retry-failed")
    assert ended.code == 0
    assert "; 1 of them only if the server, asked first, still does not know them\n" in ended.out
    assert len(site.ledger.submissions) == 1


async def test_jobs_that_failed_over_a_busy_server_are_not_advised_to_change_their_inputs(
    there: Path, site: Emulator, shell: Shell
) -> None:
    site.faults.add(Fault("failed", code="1005"))
    ended = await shell("batch clips --image heroes/fox.png --json")
    assert ended.code == 1
    assert "→ 1 job failed because the server was busy: the inputs need no change\n" in ended.err
    assert "Change the inputs" not in ended.err
    assert "→ the same command with --retry-failed submits them again" in ended.err
    assert (await shell("batch clips --image heroes/fox.png --retry-failed")).code == 0
    assert len(site.ledger.tasks) == 6


async def test_an_unconfirmed_job_is_listed_with_the_commands_that_decide_about_it(
    there: Path, site: Emulator, shell: Shell
) -> None:
    site.faults.add(Fault("drop_after_accept"))
    ended = await shell("batch clips --image heroes/fox.png --journal j.db")
    assert ended.code == 1
    assert "unconfirmed  1       sent, and the response was lost" in ended.out
    command = re.search(r"rh-async (discard \S+ --journal j.db)", ended.out)
    assert command is not None
    assert (await shell(command[1])).code == 0


async def test_a_budget_is_kept_and_ends_the_batch_with_exit_code_4(there: Path, site: Emulator, shell: Shell) -> None:
    ended = await shell("batch clips --image heroes/fox.png --budget 5")
    assert ended.code == 4
    assert 0 < site.ledger.total_charged <= 5
    assert re.search(r"money        CNY \d\.\d\d spent by this run · budget 5\.00\n", ended.out)
    assert "→ give a greater --budget, then the same command again continues" in ended.out
    assert (await shell("batch clips --image heroes/fox.png --budget 500")).code == 0
    assert len(site.ledger.tasks) == 5


async def test_a_rejected_account_stops_the_batch_with_exit_code_3(
    there: Path, site: Emulator, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNINGHUB_API_KEY", "0" * 32)
    ended = await shell("batch clips --image heroes/fox.png")
    assert (ended.code, len(site.ledger.tasks)) == (3, 0)
    assert "correct the account (key, balance), then the same command again continues" in ended.out


async def test_events_are_one_object_per_line_on_stdout_and_text_goes_to_stderr(
    there: Path, site: Emulator, shell: Shell
) -> None:
    ended = await shell("batch clips --image heroes/fox.png --json --in-flight 2")
    assert [event["ready"] for event in events(ended.out, "plan")] == [5]
    outcomes = events(ended.out, "outcome")
    assert {outcome["task_id"] for outcome in outcomes} == {task.task_id for task in site.ledger.tasks}
    assert {outcome["state"] for outcome in outcomes} == {"saved"}
    assert events(ended.out, "progress")[-1]["saved"] == 5
    (end,) = events(ended.out, "end")
    assert (end["exit"], end["counts"], end["stopped"]) == (0, {"saved": 5}, None)
    money = {name: end["money"][name] for name in ("currency", "spent", "spent_earlier", "reserved", "maybe_billed")}
    spent = str(site.ledger.total_charged)
    assert money == {"currency": "CNY", "spent": spent, "spent_earlier": "0", "reserved": "0.00", "maybe_billed": "0"}
    assert site.ledger.peak_unsettled() <= 2
    assert "plan      5 jobs" in ended.err


# --- before it is billed ----------------------------------------------------------------------------------------------


class Terminal:
    """A terminal with one answer, which counts the questions."""

    def __init__(self, answer: str) -> None:
        self.answer, self.prompts = answer, 0

    async def read_line(self) -> str:
        self.prompts += 1
        return self.answer


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Terminal]:
    """Make a reporter at a terminal with this answer."""

    def make(answer: str) -> Terminal:
        answering = Terminal(answer)
        monkeypatch.setattr("rh_async._cli.output.reporter.is_interactive", lambda: True)
        monkeypatch.setattr("rh_async._cli.output.reporter.read_line", answering.read_line)
        return answering

    return make


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "no\n", "yesterday\n"])
async def test_at_a_terminal_nothing_is_submitted_before_the_answer_is_yes(
    answer: str, there: Path, site: Emulator, at_terminal: Callable[[str], Terminal]
) -> None:
    answering, words, view = at_terminal(answer), plain(), terminal(80)
    with pytest.raises(Interrupted, match="not run, as answered; nothing was submitted"):
        await perform(command(), Reporter(words, view))
    assert answering.prompts == 1
    assert site.ledger.submissions == []
    assert printed(view).rstrip().endswith("Run? [y/N]")
    facts = printed(words)
    assert (
        facts.index("plan  ") < facts.index("to submit 5 jobs for CNY 12.96 by the server") < facts.index("balance  ")
    )


@pytest.mark.parametrize(("answer", "bought"), [("n\n", 5), ("y\n", 10)])
async def test_at_a_terminal_a_journal_without_the_folders_jobs_is_confirmed_first(
    answer: str, bought: int, there: Path, site: Emulator, shell: Shell, at_terminal: Callable[[str], Terminal]
) -> None:
    assert (await shell("batch clips --image heroes/fox.png -o out")).code == 0
    answering, view = at_terminal(answer), terminal(80)
    other = command(journal=there / "other.db", out=there / "out")
    if bought == 5:
        with pytest.raises(Interrupted, match="not run, as answered; nothing was submitted"):
            await perform(other, Reporter(plain(), view))
    else:
        assert await perform(other, Reporter(plain(), view)) is ExitCode.SUCCESS
    assert answering.prompts == (1 if bought == 5 else 2)
    assert "has 5 jobs that the journal" in printed(view)
    assert "Submit them again? [y/N]" in printed(view)
    assert len(site.ledger.submissions) == bought


async def test_after_a_yes_the_batch_runs_and_nothing_is_asked_when_nothing_is_left_to_submit(
    there: Path, site: Emulator, at_terminal: Callable[[str], Terminal]
) -> None:
    answering, words = at_terminal("Y\n"), plain()
    assert await perform(command(), Reporter(plain(), terminal(80))) is ExitCode.SUCCESS
    assert (answering.prompts, len(site.ledger.tasks)) == (1, 5)
    assert await perform(command(), Reporter(words, terminal(80))) is ExitCode.SUCCESS
    assert (answering.prompts, len(site.ledger.tasks)) == (1, 5)
    assert "to submit nothing: every job was submitted before" in printed(words)


async def test_the_option_yes_answers_in_advance(
    there: Path, site: Emulator, at_terminal: Callable[[str], Terminal]
) -> None:
    answering = at_terminal("n\n")
    assert await perform(command(yes=True), Reporter(plain(), terminal(80))) is ExitCode.SUCCESS
    assert (answering.prompts, len(site.ledger.tasks)) == (0, 5)


@pytest.mark.parametrize("make", [lambda: Reporter(plain(), plain()), lambda: Reporter(plain(), terminal(80), plain())])
async def test_without_a_terminal_nothing_is_asked(
    make: Callable[[], Reporter], there: Path, site: Emulator, at_terminal: Callable[[str], Terminal]
) -> None:
    answering = at_terminal("n\n")
    assert await perform(command(), make()) is ExitCode.SUCCESS
    assert (answering.prompts, len(site.ledger.tasks)) == (0, 5)


async def test_a_balance_below_the_price_is_reported_in_one_line(
    there: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Emulator(seed=1, balance=5) as poor:
        monkeypatch.setenv("RUNNINGHUB_BASE_URL", poor.url)
        monkeypatch.setenv("RUNNINGHUB_API_KEY", poor.api_key)
        ended = await shell("batch clips --image heroes/fox.png --in-flight 1")
    assert "balance   CNY 5: below the price by 7.96; what it does not cover is not started\n" in ended.out
    assert ended.code == 3


async def test_prices_and_budget_are_in_the_accounts_currency(
    there: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Emulator(seed=1, balance=50, currency="USD", exchange_rate=0.14) as overseas:
        monkeypatch.setenv("RUNNINGHUB_BASE_URL", overseas.url)
        monkeypatch.setenv("RUNNINGHUB_API_KEY", overseas.api_key)
        ended = await shell("batch clips --image heroes/fox.png --budget 1")
        assert ended.code == 4
        assert 0 < overseas.ledger.total_charged <= 1
        assert "price     CNY 12.96, by the price list" in ended.out
        assert "to submit 5 jobs for USD 1.81 by the server\nbudget    USD 1.00\nbalance   USD 50\n" in ended.out
        assert re.search(r"money        USD 0\.\d\d spent by this run · budget 1\.00\n", ended.out)
        assert [question.kind for question in overseas.ledger.calls].count("price") == 1
        assert (await shell("batch clips --image heroes/fox.png --budget 2")).code == 0
        assert len(overseas.ledger.tasks) == 5
        again = await shell("batch clips --image heroes/fox.png")
        # Without a purchase no call is made to learn the account's currency.
        assert "money        0.00 spent by this run · 1.81 by earlier runs\n" in again.out


async def test_list_prices_are_marked_as_such_and_never_compared_with_another_currency(
    there: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Emulator(seed=1, currency="USD", exchange_rate=0.14) as overseas:
        overseas.faults.add(Fault("error_code", route="price", code="1501", times=None))
        monkeypatch.setenv("RUNNINGHUB_BASE_URL", overseas.url)
        monkeypatch.setenv("RUNNINGHUB_API_KEY", overseas.api_key)
        ended = await shell("batch clips --image heroes/fox.png --budget 200")
        assert overseas.ledger.submissions == []
        assert "to submit 5 jobs for CNY 12.96, 5 jobs by the list alone\n" in ended.out
        assert "the server does not tell every price: price refused with code 1501" in ended.out
        assert (
            "known in CNY alone, and the budget is in USD: they cannot be compared"
            in (there / "out" / "batch.jsonl").read_text()
        )
        assert (await shell("batch clips --image heroes/fox.png")).code == 0
        assert len(overseas.ledger.tasks) == 5


def command(**running: Any) -> BatchCommand:
    """A batch of all clips with one character."""
    return BatchCommand(
        ("clips",), SourceOptions(image=("heroes/fox.png",)), BatchModelOptions(), BatchRunOptions(**running)
    )


async def test_an_interrupted_batch_says_what_goes_on_and_the_same_command_continues(
    there: Path, site: Emulator
) -> None:
    view, machine = plain(), plain()
    performance = asyncio.create_task(perform(command(in_flight=2), Reporter(plain(), view, machine)))
    while len(site.ledger.tasks) < 2 and not performance.done():  # noqa: ASYNC110 - a ledger has no event to wait for
        await asyncio.sleep(1)
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Interrupted) as ended:
        await performance
    state, continues, resume = str(ended.value).removeprefix("interrupted: ").split("; ")
    assert state == "2 jobs go on remotely and are billed, 3 not started"
    assert continues == "the same command again continues, and submits nothing twice"
    assert resume == f"to fetch what runs without starting more: rh-async resume -o {command().running.out}"
    assert "Stopping: nothing more is started" in printed(view)
    assert [event["exit"] for event in events(printed(machine), "end")] == [130]
    assert len(site.ledger.tasks) == 2
    assert await perform(command(), Reporter(plain(), plain())) is ExitCode.SUCCESS
    assert len(site.ledger.tasks) == 5
    assert len(names(there / "out")) == 5


@pytest.mark.parametrize("width", [60, 80, 160])
async def test_the_live_view_shows_the_progress_and_fits_the_terminal(
    width: int, there: Path, site: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rh_async._cli.output.reporter._REDRAW_INTERVAL", 5.0)
    site.faults.add(Fault("failed"))
    view = terminal(width)
    assert await perform(command(in_flight=3, budget=Decimal(500)), Reporter(plain(), view)) is ExitCode.FAILED
    shown = printed(view)
    for words in (
        "in flight 3 of 3",
        "longest running",
        "errors",
        "polls/s",
        "spent by this run",
        "budget 500.00",
        " left (",
    ):
        assert words in shown
    assert "saved 4 · failed 1" in shown.rsplit("\x1b[2K", 1)[-1] or "saved 4 · failed 1" in shown[-2000:]
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"\r|\n", shown)]
    assert max(map(len, lines)) <= width


async def test_a_flawed_workflow_is_reported_at_once_as_text_and_as_an_event(there: Path, site: Emulator) -> None:
    view, machine = plain(), plain()
    site.faults.add(Fault("node_errors"))
    assert await perform(command(in_flight=1), Reporter(plain(), view, machine)) is ExitCode.FAILED
    [event] = events(printed(machine), "flawed")
    assert event["task_id"] == site.ledger.tasks[0].task_id
    assert "node 299 (LoadImage): Value not in list" in event["flaw"]
    assert f"task {event['task_id']} will probably fail" in printed(view)
    [outcome] = [one for one in events(printed(machine), "outcome") if one["state"] == "failed"]
    assert "LoadImage: [Errno 2] No such file or directory" in outcome["error"]
    assert len(site.ledger.submissions) == len(site.ledger.tasks)


async def until(words: str, view: Any, running: asyncio.Task[ExitCode]) -> float:
    """Wait until a view has printed something, and return the time."""
    while words not in printed(view) and not running.done():  # noqa: ASYNC110 - a console has no event to wait for
        await asyncio.sleep(0.5)
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("make_view", [plain, lambda: terminal(80)], ids=["log", "live"])
async def test_a_network_outage_at_the_start_is_reported_soon_and_so_is_its_end(
    make_view: Any, there: Path, site: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rh_async._cli.output.reporter._REDRAW_INTERVAL", 5.0)
    site.faults.add(Fault("refuse_connections", route="upload", seconds=25))
    view = make_view()
    began = asyncio.get_running_loop().time()
    running = asyncio.create_task(perform(command(), Reporter(plain(), view)))
    assert await until(f"nothing heard from {site.url} for 10 s", view, running) - began <= 12
    assert await running is ExitCode.SUCCESS
    assert all(task.created_at >= 25 for task in site.ledger.tasks)
    shown = printed(view)
    assert len(re.findall(rf"heard from {site.url} again after \d+ s", shown)) == 1
    assert len(re.findall("it goes on by itself once the network is back", shown)) == 1
    assert max(map(int, re.findall(r"nothing heard from the server for (\d+) s", shown)), default=10) >= 10
    assert len(site.ledger.tasks) == 5


async def test_a_network_outage_while_jobs_run_is_reported_and_long_run_times_are_not(
    there: Path, site: Emulator
) -> None:
    view = plain()
    running = asyncio.create_task(perform(command(), Reporter(plain(), view)))
    await until("in flight 5", view, running)
    await asyncio.sleep(30)
    assert "nothing heard" not in printed(view)
    site.refuse_connections(90)
    await until("nothing heard", view, running)
    assert len(site.ledger.tasks) == 5
    assert await running is ExitCode.SUCCESS
    assert (
        printed(view).count("once the network is back")
        == printed(view).count(f"heard from {site.url} again after")
        == 1
    )


async def test_the_log_has_the_most_frequent_error(there: Path, site: Emulator) -> None:
    site.faults.add(Fault("failed"))
    view = plain()
    assert await perform(command(in_flight=1), Reporter(plain(), view)) is ExitCode.FAILED
    assert re.search(r"^\d\d:\d\d:\d\d  waiting .* · 1 × .+: .+$", printed(view), re.MULTILINE), printed(view)


async def test_the_summary_mentions_videos_only_where_there_are_some(there: Path, site: Emulator, shell: Shell) -> None:
    await shell("batch clips --image heroes/fox.png -o first")
    again = await shell("batch clips --image heroes/fox.png -o second")
    assert again.code == 0
    assert "folder       second: videos, a .json beside each, and batch.jsonl" in again.out
    assert names(there / "second") == names(there / "first") == [f"clip{number}__fox" for number in range(5)]
    assert len(site.ledger.submissions) == len(site.ledger.downloads) == 5
    site.faults.add(Fault("failed", times=None))
    failed = await shell("batch clips --image heroes/frog.png -o third")
    assert failed.code == 1
    assert "folder       third: no videos; batch.jsonl with a line per job" in failed.out


async def test_a_full_disk_is_reported_for_each_job_with_its_own_file(
    there: Path, site: Emulator, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if path.parent.name == "out":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    ended = await shell("batch clips --image heroes/fox.png")
    reported = re.findall(r"^  (clip\d) × fox \(task (\d+)\): (.*)$", ended.out, re.MULTILINE)
    assert len(reported) == len(site.ledger.tasks) == 5
    for clip, task, words in reported:
        assert f"{clip}__fox__{task}.mp4" in words
    assert "→ free or repair the disk, then the same command again saves them" in ended.out
    assert "folder       out: no videos" in ended.out
