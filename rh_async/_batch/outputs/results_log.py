"""``batch.jsonl``: one line per outcome, appended as they come; flat but for ``notes``, and so fit for a table."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from attrs import define, field

from rh_async._batch.costs.budget import credible_cost
from rh_async._batch.running.batch_outcome import BatchOutcome
from rh_async.errors import JobError

from .output_naming import stem_of
from .output_writer import off_loop
from .sidecar import as_json, seconds_of

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
    """The lines of one output folder.

    :ivar begun_before: whether an earlier run has begun them.
    :ivar twins: where earlier runs put outputs of entries that shared a job, by its task.
    """

    path: Path
    begun_before: bool = field(default=False, init=False)
    duplicate_paths: dict[str, list[Path]] = field(factory=dict, init=False)
    _told: set[int] = field(factory=set, init=False)  #: by earlier runs; hashes, for there may be very many

    async def open(self) -> None:
        """Read what earlier runs told; begin the file where there is none.

        :raises SaveError: the disk refused.
        """
        await off_loop(self.path, self._open)

    async def append(self, outcome: BatchOutcome) -> None:
        """Append an outcome, unless an earlier run has told the same.

        :raises SaveError: the disk refused.
        """
        line = line_of(outcome)
        if _sameness(line) not in self._told:
            await off_loop(self.path, lambda: self._append(as_json(line) + "\n"))

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.begun_before = self.path.exists()
        with self.path.open("a+b") as book:
            book.seek(0)
            last = b"\n"
            for last in book:
                self._read(last)
            if not last.endswith(b"\n"):  # a run was killed while it wrote
                book.write(b"\n")

    def _read(self, line: bytes) -> None:
        try:
            told = json.loads(line)
        except ValueError:
            return
        if isinstance(told, dict):
            self._told.add(_sameness(told))
            task, path = told.get("task_id"), told.get("path")
            if told.get("twin") is not None and isinstance(task, str) and isinstance(path, str):
                self.duplicate_paths.setdefault(task, []).append(self.path.parent / Path(path).name)

    def _append(self, line: str) -> None:
        # One write of one line to the end: another run's lines are never torn by it.
        book = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            if (written := os.write(book, line.encode())) < len(line):
                _take_back(book, written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(book)


def _take_back(book: int, written: int) -> None:
    """Leave no half line, unless another run's line is behind it by now."""
    if os.lseek(book, 0, os.SEEK_CUR) == (size := os.fstat(book).st_size):
        os.ftruncate(book, size - written)


def _sameness(line: dict[str, Any]) -> int:
    written = str(line.get("state"))
    state = _OLD_STATES.get(written, written)
    state = "saved" if state == "already_done" else state
    who = line.get("key") or line.get("number"), line.get("clip"), line.get("character")
    name = os.path.basename(str(line.get("path")))  # noqa: PTH119 - the folder may have been moved since
    # As text: the file may be anybody's, and hold what has no hash.
    return hash(repr((*who, line.get("task_id"), state, name)))


def line_of(outcome: BatchOutcome) -> dict[str, Any]:
    """An outcome as a flat line. What a twin cost is in the line of the one that was bought."""
    return {**_what(outcome), **_how(outcome), **_cost(outcome), **_when(outcome)}


def _what(outcome: BatchOutcome) -> dict[str, Any]:
    entry = outcome.entry
    return {
        "number": entry.number,
        "origin": entry.origin,
        "clip": stem_of(entry.clip),
        "character": stem_of(entry.characters[0] if entry.characters else None),
        "model": None if entry.request is None else entry.request.endpoint,
        "key": outcome.key or entry.key,
        "twin": outcome.duplicate_of,
        "notes": dict(entry.columns),  # apart: a column may be called like one of ours
    }


def _how(outcome: BatchOutcome) -> dict[str, Any]:
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


def _cost(outcome: BatchOutcome) -> dict[str, Any]:
    price = outcome.entry.price
    usage = outcome.result.usage if outcome.result is not None and outcome.duplicate_of is None else None
    money = None if usage is None else credible_cost(usage)
    return {
        "money": None if money is None else float(money),
        "currency": None if usage is None else usage.currency,
        "in_doubt": None if outcome.cost.maybe_billed is None else float(outcome.cost.maybe_billed.amount),
        "list_price": None if price is None else float(price.amount),
        "list_currency": None if price is None else price.currency,
    }


def _when(outcome: BatchOutcome) -> dict[str, Any]:
    result = outcome.result
    return {
        "submitted_utc": None if result is None else result.submitted_utc,
        "noticed_utc": None if result is None else result.noticed_utc,
        "seconds": None if result is None else seconds_of(result),
    }
