"""What came of a batch: counts, money, time, and for whatever is not on disk, the command that helps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import define, field
from rich.text import Text

from rh_async import KeyConflict, RHError
from rh_async._cli.exit_codes import ExitCode, describe_error, exit_code
from rh_async._cli.options.connection import Connection
from rh_async.errors import BudgetReached, JobError

from .fields import printable
from .job_reporter import decision_commands
from .plan_report import counted, format_amounts
from .progress_text import SEPARATOR, clock, money_parts
from .reporter import entry_name, outcome_line

if TYPE_CHECKING:
    from rh_async._cli.options.batch_options import BatchRunOptions
    from rh_async.batch import BatchOutcome, BatchProgress

_SHOWN = 5
_MEANING = {
    "saved": "on disk, by this run",
    "already_done": "done by an earlier run: nothing was asked or paid",
    "failed": "ended badly",
    "rejected": "not accepted, not paid",
    "unconfirmed": "nobody knows whether they were bought; never sent again on their own",
    "save_failed": "paid, and not on disk",
    "skipped": "not started",
}
_BAD = frozenset(_MEANING) - {"saved", "already_done"}


@define(eq=False)
class BatchSummary:
    """How the jobs ended, as they are told; of each kind of end, the first few are remembered."""

    counts: Counter[str] = field(factory=Counter, init=False)
    _first: dict[str, list[BatchOutcome]] = field(factory=dict, init=False)
    _own: Counter[str] = field(factory=Counter, init=False)  #: bad ends that buying again may mend
    _keys: int = field(default=0, init=False)  #: refused keys, which buying once more would not help
    _busy: int = field(default=0, init=False)  #: failed jobs whose inputs are as good as before
    _retried: dict[str, Decimal] = field(factory=dict, init=False)

    def add(self, outcome: BatchOutcome) -> None:
        """Take one in."""
        self.counts[outcome.state] += 1
        if outcome.state in _BAD:
            first = self._first.setdefault(outcome.state, [])
            first += [outcome] if len(first) < _SHOWN else []
        if isinstance(outcome.error, KeyConflict):
            self._keys += 1
        elif outcome.state in {"failed", "rejected"} and (
            outcome.cause == "job" or isinstance(outcome.error, JobError)
        ):
            self._busy += isinstance(outcome.error, JobError) and outcome.error.may_resubmit
            self._own[outcome.state] += 1
            self._price_again(outcome)

    def _price_again(self, outcome: BatchOutcome) -> None:
        price = outcome.entry.price
        if price is not None and outcome.duplicate_of is None:
            self._retried[price.currency] = self._retried.get(price.currency, Decimal()) + price.amount

    def exit_code(self, stopped: RHError | None) -> ExitCode:
        """The exit code: by who must act."""
        code = ExitCode.SUCCESS if stopped is None else exit_code(stopped)
        if code in {ExitCode.ACCOUNT_REJECTED, ExitCode.BUDGET_REACHED}:
            return code
        return ExitCode.FAILED if stopped or any(self.counts[state] for state in _BAD) else ExitCode.SUCCESS

    def outcome_lines(self, progress: BatchProgress, running: BatchRunOptions, seconds: float) -> Iterator[Text]:
        """Counts, money, time, folder."""
        for state, meaning in _MEANING.items():
            if self.counts[state] or state == "saved":
                yield _fact(state, f"{self.counts[state]:<7,} {meaning}")
        yield _fact("money", SEPARATOR.join(money_parts(progress)))
        yield _fact("time", clock(seconds))
        there = self.counts["saved"] + self.counts["already_done"]
        made = "videos, a .json beside each, and batch.jsonl" if there else "no videos; batch.jsonl"
        yield _fact("folder", f"{running.out}: {made} with a line per job")

    def advice_lines(self, running: BatchRunOptions, connection: Connection, stopped: RHError | None) -> Iterator[Text]:
        """What went wrong, by its kind, and what to do about it."""
        if stopped is not None:
            yield Text(printable(f"stopped: {describe_error(stopped)}"), style="red")
        for state, first in ((state, self._first[state]) for state in _MEANING if state in self._first):
            yield Text(f"{state}:", style="bold")
            if state != "skipped" or stopped is None:
                yield from (Text(f"  {printable(outcome_line(one))}") for one in first)
                if self.counts[state] > len(first):
                    yield Text(f"  and {self.counts[state] - len(first):,} more; see batch.jsonl")
            yield from (Text(f"  → {printable(line)}") for line in self._remedy(state, running, connection, stopped))

    def _remedy(
        self, state: str, running: BatchRunOptions, connection: Connection, stopped: RHError | None
    ) -> Iterator[str]:
        if state == "rejected" and self._keys:
            yield "give each job whose key is in use a key of its own, then the same command again buys it"
        if state == "failed" and self._busy:
            yield f"{counted(self._busy, 'job')} failed because the server was busy: the inputs need no change"
        match state:
            case "failed" if self._own["rejected"]:
                return  # said once, below the last of them
            case "failed" | "rejected" if self._own[state]:
                price = f" ({format_amounts(self._retried)} by the list)" if self._retried else ""
                yield f"the same command with --retry-failed buys them again{price}, as they are or mended"
            case "rejected" if self._keys or "skipped" in self._first:
                pass  # said above, or once below the last of them
            case "unconfirmed":
                yield from self._resolving(running, connection)
            case "save_failed":
                full = any(one.cause == "local_io" for one in self._first[state])
                remedy = "mend the disk, then the" if full else "the"
                yield f"{remedy} same command again saves them; links live for about 24 h"
            case _:
                yield f"{_how_to_go_on(stopped)}, then the same command again continues"

    def _resolving(self, running: BatchRunOptions, connection: Connection) -> Iterator[str]:
        if running.journal_file is None:
            yield "look into the console's call record before sending them again"
            return
        for one in self._first["unconfirmed"]:
            if one.key is not None:
                yield f"{entry_name(one.entry)}: {decision_commands(connection, running.journal_file, one.key)}"
        yield connection.command("jobs", "--state", "uncertain", *running.journal_file.arguments)


def _how_to_go_on(stopped: RHError | None) -> str:
    if isinstance(stopped, BudgetReached):
        return "give a greater --budget"
    if stopped is not None and stopped.blame == "account":
        return "mend the account"
    return "see above what holds them back"


def _fact(name: str, fact: str) -> Text:
    return Text.assemble((f"{name:<13}", "bold"), printable(fact) if name not in _MEANING else fact)
