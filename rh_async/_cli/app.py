"""The table of commands, and how each ends: one line on stderr and an exit code; a traceback only with --debug."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from io import TextIOWrapper
from typing import Any

from cyclopts import App, CycloptsError, Parameter
from cyclopts.config import Env
from rich.text import Text

from .exit_codes import ExitCode, UsageError, describe_error, exit_code, root_cause
from .options.config_file import from_file
from .options.proxy_option import take_proxy
from .output.debug_log import CleanFormatter, clean_lines
from .terminal.fields import make_console

_HELP = "Run many motion-transfer jobs on RunningHub at once: character image + driving video → video."

_EPILOGUE = """\
The API key comes from RUNNINGHUB_API_KEY or RH_API_KEY in the environment.
Any command takes --debug, which prints the log and the traceback of an error, \
and --proxy http://HOST:PORT, which sets HTTP_PROXY and HTTPS_PROXY for it. \
Those variables and NO_PROXY are honoured.

Exit codes:
    0  all good
    1  a job or a call failed
    2  bad usage, input or configuration
    3  account refused (key, balance)
    4  budget reached
   70  internal error: a bug in this program
  130  interrupted; what goes on remotely is named
"""

app = App(
    name="rh-async",
    help=_HELP,
    help_epilogue=_EPILOGUE,
    help_format="plaintext",
    version_flags="--version",
    default_parameter=Parameter(negative=""),
    version=lambda: version("rh-async"),
    print_error=False,
    exit_on_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
_COMMANDS = {
    "commands.run_command:run": "Run one job, which is billed, and save its video.\n\n"
    "The journal records it: the same command again submits nothing, and saves what is not saved yet.\n\n"
    "Interrupted, it lets the job go on remotely and names the command that picks it up.",
    "commands.batch_command:batch": "Make a video of every clip of a folder, or of every row of a manifest.\n\n"
    "rh-async batch clips/ --image hero.png -o out\n\n"
    "rh-async batch --manifest jobs.csv --check\n\n"
    "Every file is checked and every job priced first; --check stops there. However a run ends, the same command"
    " continues it: no job is billed twice.\n\n"
    "Every option can also stand in the environment (RH_ASYNC_BATCH_IN_FLIGHT=20) and in the table [batch] of"
    " rh-async.toml (in-flight = 20); the command line comes first, then the environment.",
    "commands.jobs_command:jobs": "List the jobs in the journal: state, key, task and files.\n\n"
    "It makes no call, and needs no API key.",
    "commands.resume_command:resume": "Watch and save the jobs of commands that ended early.\n\n"
    "Nothing is submitted. Exit code 0 if every job succeeded, 1 if one failed or is unconfirmed.",
    "commands.decision_commands:confirm": "Record the task that an unconfirmed submission became.\n\n"
    "An unconfirmed submission was sent, and its response was lost: it may have been billed, so it is never sent again"
    " on its own. Look for its task in the console's call record, and give its id: rh-async resume then fetches it.",
    "commands.decision_commands:discard": "Give up an unconfirmed submission that became no task.\n\n"
    "An unconfirmed submission was sent, and its response was lost. If the console's call record has no task for it,"
    " this frees its key and names the command that submits it anew; nothing is submitted or billed by this one.",
    "commands.save_command:save": "Save the outputs of a job, by key or task id.\n\n"
    "Links live for about 24 h. The server is asked for a task that the journal does not have.",
    "commands.task_commands:status": "Get the status of a task.\n\n"
    "Exit code 0 if it runs or has succeeded, 1 if it failed, was cancelled or is unknown.",
    "commands.task_commands:cancel": "Ask the server to stop a task, and show its status afterwards.\n\n"
    "Exit code 0 if it is cancelled, 1 if it is not. Whether a cancelled task is refunded is not documented.",
    "commands.task_commands:account": "Show the account: key type, limit, tasks and balance.",
    "commands.demo_command:demo": "Run generated jobs against a local RunningHub: nothing is billed.",
    "commands.emulator_command:emulator": "Serve a local RunningHub to develop against.",
}
_SETTINGS: dict[str, dict[str, Any]] = {
    "commands.batch_command:batch": {"config": [Env("RH_ASYNC_", show=False), from_file]}
}
_RENAMED = {
    "resolve": "rh-async confirm KEY TASK_ID, or rh-async discard KEY",
    "--abandon": "rh-async discard KEY",
    "--again": "--resubmit",
    "--name": "--naming",
}
# Named, not imported: a command loads only what it needs, so that help and `jobs` start fast.
for _path, _help in _COMMANDS.items():
    app.command(f"rh_async._cli.{_path}", name=_path.partition(":")[2], help=_help, **_SETTINGS.get(_path, {}))
app.register_install_completion_command(help="Install completion for your shell (bash, zsh or fish).")


def run(arguments: Sequence[str]) -> int:
    """Run one command line, and return its exit code."""
    debug = "--debug" in arguments
    _configure_logging(debug)
    _replace_unencodable()
    try:
        # Help that is not read to its end (`rh-async --help | head -1`) is no error either.
        code = app(take_proxy([one for one in arguments if one != "--debug"]), console=make_console())
        make_console().file.flush()  # a closed pipe shows here at the latest, not when the interpreter ends
    except (Exception, KeyboardInterrupt) as ending:  # noqa: BLE001 - the one seam: no command ends in a traceback
        return _report(ending, debug, renamed=_renamed(arguments))
    return ExitCode.SUCCESS if code is None else int(code)


def _configure_logging(debug: bool) -> None:
    """Print the library's log with --debug, and nothing of it otherwise."""
    if debug:
        handler = logging.StreamHandler()
        handler.setFormatter(CleanFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        logging.basicConfig(level=logging.DEBUG, handlers=[handler])
    logging.getLogger("rh_async").addHandler(logging.NullHandler())


def _replace_unencodable() -> None:
    """Replace characters that a stream cannot encode: an encoding error must not end a job that is billed."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _renamed(arguments: Sequence[str]) -> str:
    """Name what replaced a command or an option that is gone; "" if none is on the command line."""
    old = next((name for name in (one.partition("=")[0] for one in arguments) if name in _RENAMED), None)
    return f"{old} is gone: use {_RENAMED[old]}" if old else ""


def _report(ending: BaseException, debug: bool, *, renamed: str = "") -> ExitCode:
    """Print one line that says why the command ended, and choose its exit code.

    :param renamed: said in place of a usage error that an old name brought about.
    """
    console, cause = make_console(stderr=True), root_cause(ending)
    if renamed and isinstance(cause, CycloptsError):
        cause = UsageError(renamed)
    if debug:
        console.print(Text(clean_lines("".join(traceback.format_exception(ending)))), soft_wrap=True, end="")
    console.print(Text(f"rh-async: {describe_error(cause)}", style="red"), soft_wrap=True)
    return exit_code(cause)
