"""Sums a batch up: counts, money, time, and for each job that is not on disk the command that helps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import define, field
from rich.text import Text

from rh_async import RHError
from rh_async._cli.exit_codes import ExitCode, describe_error, exit_code
from rh_async._cli.options.connection import Connection
from rh_async._cli.terminal.fields import printable
from rh_async.errors import BudgetReached, JobError, KeyConflict

from .job_reporter import decision_commands
from .plan_report import counted, format_amounts
from .progress_text import SEPARATOR, clock, money_parts
from .reporter import entry_name, outcome_line

if TYPE_CHECKING:
    from rh_async._cli.options.batch_options import BatchRunOptions
    from rh_async.batch import BatchOutcome, BatchProgress

_MAX_EXAMPLES = 5
_MEANING = {
    "saved": "on disk, by this run",
    "already_done": "done by an earlier run: nothing was sent or billed",
    "failed": "ended without a result",
    "rejected": "not accepted, not billed",
    "unconfirmed": "sent, and the response was lost: maybe billed; never sent again on their own",
    "save_failed": "billed, and not on disk",
    "skipped": "not started",
}
_BAD = frozenset(_MEANING) - {"saved", "already_done"}


@define(eq=False)
class BatchSummary:
    """Counts the outcomes of a batch, and keeps the first few of each state as examples."""

    counts: Counter[str] = field(factory=Counter, init=False)
    _first: dict[str, list[BatchOutcome]] = field(factory=dict, init=False)
    _resubmittable: Counter[str] = field(
        factory=Counter, init=False
    )  #: by state: jobs that may succeed if they are submitted again
    _key_conflicts: int = field(default=0, init=False)  #: key conflicts: submitting again would not help
    _server_busy: int = field(default=0, init=False)  #: jobs that failed over a busy server, not over their inputs
    _resubmit_price: dict[str, Decimal] = field(factory=dict, init=False)

    def add(self, outcome: BatchOutcome) -> None:
        """Count an outcome."""
        self.counts[outcome.state] += 1
        if outcome.state in _BAD:
            first = self._first.setdefault(outcome.state, [])
            first += [outcome] if len(first) < _MAX_EXAMPLES else []
        if isinstance(outcome.error, KeyConflict):
            self._key_conflicts += 1
        elif outcome.state in {"failed", "rejected"} and (
            outcome.cause == "job" or isinstance(outcome.error, JobError)
        ):
            self._server_busy += isinstance(outcome.error, JobError) and outcome.error.may_resubmit
            self._resubmittable[outcome.state] += 1
            self._add_price(outcome)

    def _add_price(self, outcome: BatchOutcome) -> None:
        price = outcome.entry.price
        if price is not None and outcome.duplicate_of is None:
            self._resubmit_price[price.currency] = self._resubmit_price.get(price.currency, Decimal()) + price.amount

    def exit_code(self, stopped: RHError | None) -> ExitCode:
        """Choose the exit code: what stopped the batch decides, else whether every job is on disk."""
        code = ExitCode.SUCCESS if stopped is None else exit_code(stopped)
        if code in {ExitCode.ACCOUNT_REJECTED, ExitCode.BUDGET_REACHED}:
            return code
        return ExitCode.FAILED if stopped or any(self.counts[state] for state in _BAD) else ExitCode.SUCCESS

    def outcome_lines(self, progress: BatchProgress, running: BatchRunOptions, seconds: float) -> Iterator[Text]:
        """List counts, money, time and folder."""
        for state, meaning in _MEANING.items():
            if self.counts[state] or state == "saved":
                yield _field(state, f"{self.counts[state]:<7,} {meaning}")
        yield _field("money", SEPARATOR.join(money_parts(progress)))
        yield _field("time", clock(seconds))
        there = self.counts["saved"] + self.counts["already_done"]
        made = "videos, a .json beside each, and batch.jsonl" if there else "no videos; batch.jsonl"
        yield _field("folder", f"{running.out}: {made} with a line per job")

    def advice_lines(self, running: BatchRunOptions, connection: Connection, stopped: RHError | None) -> Iterator[Text]:
        """List what went wrong, state by state, and what to do about it."""
        if stopped is not None:
            yield Text(printable(f"stopped: {describe_error(stopped)}"), style="red")
        for state, first in ((state, self._first[state]) for state in _MEANING if state in self._first):
            yield Text(f"{state}:", style="bold")
            if state != "skipped" or stopped is None:
                yield from (Text(f"  {printable(outcome_line(one))}") for one in first)
                if self.counts[state] > len(first):
                    yield Text(f"  and {self.counts[state] - len(first):,} more; see batch.jsonl")
            yield from (Text(f"  → {printable(line)}") for line in self._hints(state, running, connection, stopped))

    def _hints(
        self, state: str, running: BatchRunOptions, connection: Connection, stopped: RHError | None
    ) -> Iterator[str]:
        if state == "rejected" and self._key_conflicts:
            yield "give each job whose key is in use a key of its own, then the same command again submits it"
        if state == "failed" and self._server_busy:
            yield f"{counted(self._server_busy, 'job')} failed because the server was busy: the inputs need no change"
        match state:
            case "failed" if self._resubmittable["rejected"]:
                return  # printed once, below the rejected jobs
            case "failed" | "rejected" if self._resubmittable[state]:
                price = f" ({format_amounts(self._resubmit_price)} by the list)" if self._resubmit_price else ""
                yield f"the same command with --retry-failed submits them again{price}, as they are or corrected"
            case "rejected" if self._key_conflicts or "skipped" in self._first:
                pass  # printed above, or once below the skipped jobs
            case "unconfirmed":
                yield from self._decisions(running, connection)
            case "save_failed":
                is_local = any(one.cause == "local_io" for one in self._first[state])
                first_step = "free or repair the disk, then the" if is_local else "the"
                yield f"{first_step} same command again saves them; links live for about 24 h"
            case _:
                yield f"{_how_to_go_on(stopped)}, then the same command again continues"

    def _decisions(self, running: BatchRunOptions, connection: Connection) -> Iterator[str]:
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
        return "correct the account (key, balance)"
    return "see above what holds them back"


def _field(name: str, fact: str) -> Text:
    return Text.assemble((f"{name:<13}", "bold"), printable(fact) if name not in _MEANING else fact)
