"""The commands, and how they end: one line on stderr and an exit code, never a traceback nobody asked for."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.text import Text

from rh_async import RHError

from ._exits import Ending, Exit, Misuse, exit_code, sentence

_HELP = "Run many motion-transfer jobs on RunningHub at once: character image + driving video → video."

_EPILOGUE = """\
Any command takes --debug: logs, and the traceback of whatever ended it.

Exit codes:
    0  all good
    1  some job failed
    2  bad usage or configuration
    3  account refused (key, balance)
  130  interrupted
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
# Named, not imported: a command that needs no local server loads none.
app.command(
    "rh_async._cli._demo:demo", name="demo", help="Run made-up jobs against a local RunningHub: nothing is paid."
)
app.command("rh_async._cli._emulator:emulator", name="emulator", help="Serve a local RunningHub to build against.")


def run(words: Sequence[str]) -> int:
    """Carry out one command line, and return its exit code."""
    debug = "--debug" in words
    _listen(debug)
    try:
        code = app([word for word in words if word != "--debug"])
    except (CycloptsError, Misuse, RHError, KeyboardInterrupt) as ending:
        return _told(ending, debug)
    return Exit.GOOD if code is None else int(code)


def _listen(debug: bool) -> None:
    """Keep the library's log out of the user's sight, unless it was asked for."""
    if debug:
        logging.basicConfig(level=logging.DEBUG)
    logging.getLogger("rh_async").addHandler(logging.NullHandler())


def _told(ending: Ending, debug: bool) -> Exit:
    console = Console(stderr=True, highlight=False)
    if debug:
        traceback.print_exception(ending)
    console.print(Text(f"rh-async: {sentence(ending)}", style="red"), soft_wrap=True)
    return exit_code(ending)
