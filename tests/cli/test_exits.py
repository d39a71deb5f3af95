"""How commands end: one line, an exit code, and a traceback only with --debug."""

from __future__ import annotations

import logging
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

import rh_async
from rh_async import __main__, errors
from rh_async._cli import app as _app
from rh_async._cli import run
from rh_async._cli.exit_codes import ExitCode, ExpectedError, UsageError, describe_error, exit_code

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """Restore the handlers of the log."""
    log = logging.getLogger("rh_async")
    before = list(log.handlers)
    yield
    log.handlers[:] = before


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (KeyboardInterrupt(), 130),
        (errors.AuthenticationFailed("no such key"), 3),
        (errors.BalanceExhausted("no money"), 3),
        (errors.ConfigurationError("there is no API key"), 2),
        (errors.InvalidRequestError("prompt is too long"), 2),
        (UsageError("--out cannot be written"), 2),
        (errors.NotSent("refused"), 1),
        (errors.SubmitUnknown("dropped"), 1),
        (errors.JobFailed("failed"), 1),
        (errors.SaveError("disk full"), 1),
    ],
)
def test_the_exit_code_follows_from_what_has_to_change(ending: ExpectedError, code: int) -> None:
    assert exit_code(ending) == code


def test_a_message_of_many_lines_becomes_one() -> None:
    assert describe_error(UsageError("this\n  and that")) == "this and that"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("demo --jobs 0", 'Invalid value "0" for --jobs'),
        ("demo --jobs many", 'unable to convert "many"'),
        ("demo extra", "unexpected argument 'extra'"),
        ("demo --nonsense", "Unknown option: --nonsense"),
        ("nonsense", 'Unknown command "nonsense"'),
        ("emulator --port 65536", 'Invalid value "65536" for --port'),
        ("emulator --limit 0", 'Invalid value "0" for --limit'),
        ("demo --out /dev/null", "--out /dev/null cannot be written"),
        ("resolve k --abandon", "resolve is gone: use rh-async confirm KEY TASK_ID, or rh-async discard KEY"),
        ("run a.png b.mp4 --again", "--again is gone: use --resubmit"),
        ("batch clips --name={key}.mp4", "--name is gone: use --naming"),
    ],
)
def test_a_usage_error_is_reported_in_one_line(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == ExitCode.USAGE_ERROR
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rh-async: ")
    assert message in err
    assert err.count("\n") == 1


def test_debug_prints_the_traceback_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    assert run(["demo", "--jobs", "0", "--debug"]) == ExitCode.USAGE_ERROR
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("rh-async: Invalid value")


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (TypeError("f() takes 1\n argument"), 70, r"TypeError('f() takes 1\n argument')"),
        (ExceptionGroup("several", [ExceptionGroup("of", [KeyError("x")])]), 70, "KeyError('x')"),
        (ExceptionGroup("one", [UsageError("--out is missing")]), 2, "--out is missing"),
        (PermissionError(13, "Permission denied", "clips/a.mp4"), 1, "Permission denied (clips/a.mp4)"),
        (ValueError("\x1b[2Jgone"), 70, r"\x1b[2Jgone"),
        (RuntimeError("long" * 10_000), 70, "RuntimeError('longlong"),
    ],
    ids=["defect", "group of defects", "group of one usage error", "file", "escape", "long"],
)
def test_every_error_is_reported_in_one_line(
    raised: Exception, code: int, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: object, **_options: object) -> NoReturn:
        raise raised

    monkeypatch.setattr(_app, "app", failing)
    assert run(["batch", "clips"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rh-async: ")
    assert message in err
    assert err.count("\n") == 1
    assert len(err) < 800
    assert ("internal error" in err) == (code == ExitCode.INTERNAL_ERROR)


def test_debug_prints_no_control_characters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "\x1b]0;title\x07\u202e" + "x" * 10_000

    def failing(_: object, **_options: object) -> NoReturn:
        logging.getLogger("rh_async").warning("the server said %s\nforged line", hostile)
        raise UsageError(hostile)

    monkeypatch.setattr(_app, "app", failing)
    root = logging.getLogger()
    before, root.handlers[:] = list(root.handlers), []
    try:
        assert run(["status", "1", "--debug"]) == ExitCode.USAGE_ERROR
    finally:
        root.handlers[:] = before
    err = capsys.readouterr().err
    assert not {"\x1b", "\x07", "\u202e"} & set(err)
    assert "Traceback" in err
    (logged,) = [line for line in err.splitlines() if "the server said" in line]
    assert "forged line" not in [line.strip() for line in err.splitlines()]
    assert len(logged) < 2_100


@pytest.mark.parametrize("key", ['"0123456789abcdef0123456789abcdef"', "'0123", "“0123”"])
def test_an_api_key_in_quotes_is_rejected_as_such(
    key: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNINGHUB_API_KEY", key)
    assert run(["account"]) == ExitCode.USAGE_ERROR
    err = capsys.readouterr().err
    assert "the API key stands in quotes: paste it without them" in err
    assert "0123" not in err


def test_ctrl_c_prints_one_word(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object, **_options: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(_app, "app", interrupted)
    assert run(["demo"]) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "rh-async: interrupted\n"


def test_ctrl_c_during_start_prints_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def __getattr__(self, _name: str) -> NoReturn:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "rh_async._cli", Interrupted())
    assert __main__.main(["demo"]) == ExitCode.INTERRUPTED


@pytest.mark.parametrize("line", ["--help", "-h", ""])
def test_help_lists_the_commands_with_what_they_do_and_the_exit_codes(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.split()) == ExitCode.SUCCESS
    out = capsys.readouterr().out
    commands = {"run": "Run one job", "status": "Get", "cancel": "Ask", "account": "Show", "jobs": "List"}
    commands |= {
        "resume": "Watch",
        "demo": "Run generated jobs",
        "emulator": "Serve",
        "--install-completion": "Install",
    }
    for name, words in commands.items():
        assert re.search(rf"^│ {name} +{words}", out, re.MULTILINE)
    for words in ("--debug", "--proxy", "NO_PROXY", *(f"  {code}  " for code in ExitCode)):
        assert words in out
    assert all(len(row) <= 80 for row in out.splitlines())


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.count(".") == 2


@pytest.mark.parametrize("missing", ["cyclopts", "rich", "platformdirs"])
def test_without_the_cli_extra_one_line_says_what_to_install(
    missing: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert __main__.main(["demo"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "rh-async: the command line is not installed: pip install 'rh-async[cli]'\n"


@pytest.mark.parametrize("missing", ["av", "PIL"])
def test_without_the_media_extra_the_demo_says_what_to_install(
    missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert run(["demo", "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("pip install 'rh-async[cli,media]'\n")
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_package_runs_as_a_module(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["rh-async", "--version"])
    monkeypatch.delitem(sys.modules, "rh_async.__main__")
    with pytest.raises(SystemExit) as end:
        runpy.run_module("rh_async", run_name="__main__")
    assert end.value.code == 0
    assert capsys.readouterr().out
    assert rh_async.__all__
