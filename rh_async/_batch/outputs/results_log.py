"""Writes ``batch.jsonl``: one line per outcome, flat but for ``notes``, so that it can be read as a table."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from attrs import define, field

from rh_async._batch.costs.budget import credible_cost
from rh_async._batch.state.batch_outcome import BatchOutcome
from rh_async.errors import JobError

from .output_naming import stem_of
from .output_writer import off_loop
from .sidecar import run_seconds, to_json

_OLD_STATES = {
    "kept": "already_done",
    "refused": "rejected",
    "uncertain": "unconfirmed",
    "unsaved": "save_failed",
    "withheld": "skipped",
}
"""States by the names that earlier versions wrote; read only, so that a folder they began has no line twice."""


@define(eq=False)
class ResultsLog:
    """The results log of one output folder.

    :ivar begun_before: whether an earlier run wrote to the log.
    :ivar duplicate_paths: by task id, the outputs that earlier runs wrote for duplicates.
    """

    path: Path
    begun_before: bool = field(default=False, init=False)
    duplicate_paths: dict[str, list[Path]] = field(factory=dict, init=False)
    _known: set[int] = field(factory=set, init=False)  #: dedup hashes of earlier lines, which may be very many

    async def open(self) -> None:
        """Read the lines of earlier runs; create the log where there is none.

        :raises SaveError: the disk refused.
        """
        await off_loop(self.path, self._open)

    async def append(self, outcome: BatchOutcome) -> None:
        """Append an outcome, unless an earlier run wrote the same.

        :raises SaveError: the disk refused.
        """
        line = line_of(outcome)
        if _dedup_hash(line) not in self._known:
            await off_loop(self.path, lambda: self._append(to_json(line) + "\n"))

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.begun_before = self.path.exists()
        with self.path.open("a+b") as file:
            file.seek(0)
            last = b"\n"
            for last in file:
                self._read(last)
            if not last.endswith(b"\n"):  # a run was killed while it wrote; the next line must begin its own
                file.write(b"\n")

    def _read(self, line: bytes) -> None:
        try:
            values = json.loads(line)
        except ValueError:
            return
        if isinstance(values, dict):
            self._known.add(_dedup_hash(values))
            task, path = values.get("task_id"), values.get("path")
            is_duplicate = values.get("duplicate_of", values.get("twin")) is not None  # ``twin``: an earlier version
            if is_duplicate and isinstance(task, str) and isinstance(path, str):
                self.duplicate_paths.setdefault(task, []).append(self.path.parent / Path(path).name)

    def _append(self, line: str) -> None:
        # A single write in append mode: two runs into the same folder never tear each other's lines.
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            if (written := os.write(file, line.encode())) < len(line):
                _truncate(file, written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)


def _truncate(file: int, written: int) -> None:
    """Remove a half-written line, unless another run has appended behind it."""
    if os.lseek(file, 0, os.SEEK_CUR) == (size := os.fstat(file).st_size):
        os.ftruncate(file, size - written)


def _dedup_hash(line: dict[str, Any]) -> int:
    """Hash what makes two lines the same outcome; ``saved`` and a later ``already_done`` are the same."""
    written = str(line.get("state"))
    state = _OLD_STATES.get(written, written)
    state = "saved" if state == "already_done" else state
    entry = line.get("key") or line.get("number"), line.get("clip"), line.get("character")
    name = os.path.basename(str(line.get("path")))  # noqa: PTH119 - the folder may have been moved since
    # Hashed as text: a line of another program may hold values that have no hash.
    return hash(repr((*entry, line.get("task_id"), state, name)))


def line_of(outcome: BatchOutcome) -> dict[str, Any]:
    """Convert an outcome to a flat line. The cost of a job that has duplicates is in its primary's line alone."""
    return {**_entry_values(outcome), **_state_values(outcome), **_cost_values(outcome), **_time_values(outcome)}


def _entry_values(outcome: BatchOutcome) -> dict[str, Any]:
    entry = outcome.entry
    return {
        "number": entry.number,
        "origin": entry.origin,
        "clip": stem_of(entry.clip),
        "character": stem_of(entry.characters[0] if entry.characters else None),
        "model": None if entry.request is None else entry.request.endpoint,
        "key": outcome.key or entry.key,
        "duplicate_of": outcome.duplicate_of,
        "notes": dict(entry.extra_columns),  # apart: a column may be called like one of ours
    }


def _state_values(outcome: BatchOutcome) -> dict[str, Any]:
    error = outcome.error
    return {
        "task_id": outcome.task_id,
        "state": outcome.state,
        "cause": outcome.cause,
        "error": None if error is None else type(error).__name__,
        "code": None if error is None else error.code,
        "message": None if error is None else error.message,
        "reason": error.reason if isinstance(error, JobError) else "",
        "outputs": len(outcome.paths),
        "path": str(outcome.paths[0]) if outcome.paths else None,
    }


def _cost_values(outcome: BatchOutcome) -> dict[str, Any]:
    price = outcome.entry.price
    usage = outcome.result.usage if outcome.result is not None and outcome.duplicate_of is None else None
    money = None if usage is None else credible_cost(usage)
    return {
        "money": None if money is None else float(money),
        "currency": None if usage is None else usage.currency,
        "maybe_billed": None if outcome.cost.maybe_billed is None else float(outcome.cost.maybe_billed.amount),
        "list_price": None if price is None else float(price.amount),
        "list_currency": None if price is None else price.currency,
    }


def _time_values(outcome: BatchOutcome) -> dict[str, Any]:
    result = outcome.result
    return {
        "submitted_utc": None if result is None else result.submitted_utc,
        "noticed_utc": None if result is None else result.noticed_utc,
        "seconds": None if result is None else run_seconds(result),
    }
