"""What a command's end is worth to a shell: one exit code for every way to fail."""

from __future__ import annotations

from enum import IntEnum

from cyclopts import CycloptsError
from cyclopts.exceptions import UnusedCliTokensError

from rh_async import AuthenticationFailed, BalanceExhausted, JournalError, LocalRefusal, RHError
from rh_async.errors import BudgetReached

from ._facts import printable


class Exit(IntEnum):
    """The exit codes, as ``--help`` lists them."""

    GOOD = 0
    FAILED = 1
    MISUSED = 2
    ACCOUNT_REFUSED = 3
    BUDGET_REACHED = 4
    INTERRUPTED = 130


class Misuse(Exception):
    """The command cannot be carried out as it was given; the message says what to change."""


class Interrupted(Exception):
    """Somebody stopped the command; the message says what goes on elsewhere."""


Ending = CycloptsError | Misuse | Interrupted | RHError | KeyboardInterrupt
"""What may end a command early; anything else is a defect of ours and keeps its traceback."""


def exit_code(ending: Ending) -> Exit:
    """Choose the code by who must act: the account's owner, whoever typed the command, or nobody yet."""
    match ending:
        case KeyboardInterrupt() | Interrupted():
            return Exit.INTERRUPTED
        case AuthenticationFailed() | BalanceExhausted():
            return Exit.ACCOUNT_REFUSED
        case BudgetReached():
            return Exit.BUDGET_REACHED
        case CycloptsError() | Misuse() | LocalRefusal():
            return Exit.MISUSED
        case JournalError(maybe_billed=False):
            return Exit.MISUSED
        case _:
            return Exit.FAILED


def sentence(ending: Ending) -> str:
    """Say in one line why a command ended."""
    if isinstance(ending, KeyboardInterrupt):
        return "interrupted"
    if isinstance(ending, UnusedCliTokensError):
        return f"nothing takes {' '.join(ending.unused_tokens or ())!r} here: see --help"
    return printable(str(ending)).replace("(base_url=)", "(--base-url)")
