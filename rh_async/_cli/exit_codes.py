"""Maps the end of a command to its exit code and to one line of text."""

from __future__ import annotations

from enum import IntEnum

from cyclopts import CycloptsError
from cyclopts.exceptions import UnusedCliTokensError

from rh_async import RHError

from .terminal.fields import printable


class ExitCode(IntEnum):
    """The exit codes, as ``--help`` lists them."""

    SUCCESS = 0
    FAILED = 1
    USAGE_ERROR = 2
    ACCOUNT_REJECTED = 3
    BUDGET_REACHED = 4
    INTERNAL_ERROR = 70  #: EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130


class UsageError(Exception):
    """The command cannot be run as it was given; the message says what to change."""


class Interrupted(Exception):
    """A signal or an answer stopped the command; the message says what goes on remotely."""


_MAX_LENGTH = 500  # characters of an exception's own text

ExpectedError = CycloptsError | UsageError | Interrupted | RHError | KeyboardInterrupt | OSError
"""What may end a command early; any other exception is a bug in this program."""


def root_cause(error: BaseException) -> BaseException:
    """Return what ended a command: the first exception that is not an exception group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def exit_code(ending: BaseException) -> ExitCode:
    """Choose the code by what has to change: the account, the command line, or only time."""
    match ending:
        case KeyboardInterrupt() | Interrupted():
            return ExitCode.INTERRUPTED
        case RHError():
            return ExitCode(ending.exit_code)
        case CycloptsError() | UsageError():
            return ExitCode.USAGE_ERROR
        case OSError():
            return ExitCode.FAILED
        case _:
            return ExitCode.INTERNAL_ERROR


def describe_error(ending: BaseException) -> str:
    """Describe in one line why a command ended."""
    if not isinstance(ending, ExpectedError):
        bug = f"internal error: {printable(repr(ending))[:_MAX_LENGTH]}"
        advice = "Run it again with --debug for the traceback, and report that"
        return f"{bug}; submitted jobs are in the journal (rh-async jobs). {advice}"
    if isinstance(ending, OSError) and not isinstance(ending, RHError):  # some errors of this package are both
        name = f" ({ending.filename})" if ending.filename is not None else ""
        return printable((ending.strerror or repr(ending)) + name)[:_MAX_LENGTH]
    if isinstance(ending, KeyboardInterrupt):
        return "interrupted"
    if isinstance(ending, UnusedCliTokensError):
        return f"unexpected argument {' '.join(ending.unused_tokens or ())!r}: see --help"
    return printable(str(ending)).replace("(base_url=)", "(--base-url)").replace("(journal=)", "(--journal)")
