"""What a command's end is worth to a shell: one exit code for every way to fail."""

from __future__ import annotations

from enum import IntEnum

from cyclopts import CycloptsError
from cyclopts.exceptions import UnusedCliTokensError

from rh_async import RHError

from .output.fields import printable


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
    """The command cannot be carried out as it was given; the message says what to change."""


class Interrupted(Exception):
    """Somebody stopped the command; the message says what goes on elsewhere."""


_LONGEST = 500  # characters of an exception's own text

ExpectedError = CycloptsError | UsageError | Interrupted | RHError | KeyboardInterrupt | OSError
"""What may end a command early; any other exception is a defect of this program."""


def root_cause(error: BaseException) -> BaseException:
    """Find what ended a command: the first exception that is not a group of others."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def exit_code(ending: BaseException) -> ExitCode:
    """Choose the code by who must act: the account's owner, whoever typed the command, or nobody yet."""
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
    """Say in one line why a command ended."""
    if not isinstance(ending, ExpectedError):
        return (
            f"a defect of this program ended the command: {printable(repr(ending))[:_LONGEST]}; what was bought stands"
            " in the journal (rh-async jobs). Run it again with --debug for the traceback, and report that"
        )
    if isinstance(ending, OSError) and not isinstance(ending, RHError):  # of ours, some are both
        named = f" ({ending.filename})" if ending.filename is not None else ""
        return printable((ending.strerror or repr(ending)) + named)[:_LONGEST]
    if isinstance(ending, KeyboardInterrupt):
        return "interrupted"
    if isinstance(ending, UnusedCliTokensError):
        return f"nothing takes {' '.join(ending.unused_tokens or ())!r} here: see --help"
    return printable(str(ending)).replace("(base_url=)", "(--base-url)").replace("(journal=)", "(--journal)")
