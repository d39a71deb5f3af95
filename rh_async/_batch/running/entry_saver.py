"""Saves the result of one entry: finds what an earlier run wrote, else writes it, retrying while the network fails."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
from attrs import define, evolve

from rh_async._batch.outputs.output_writer import OutputWriter, add_earlier_paths, off_loop, recorded_paths
from rh_async._batch.planning.plan import Entry
from rh_async._batch.session_port import PriorAttempt
from rh_async._batch.state.batch_outcome import BatchOutcome, is_safe_to_retry
from rh_async._batch.state.run_state import FIRST_WAIT, BatchItem, RunState
from rh_async.errors import RHError, SaveError
from rh_async.types import Result

_PATIENCE = 3600.0
"""Seconds for which saving an output is retried; its link lives for a day, and the journal remembers the link."""


@define(eq=False, kw_only=True)
class EntrySaver:
    """Saves the results of one run into its output folder."""

    state: RunState
    writer: OutputWriter
    output_dir: Path

    async def find_saved(
        self, item: BatchItem, past: PriorAttempt, result: Result, *, sources: tuple[Path, ...] = ()
    ) -> BatchOutcome | None:
        """Return the outcome of an entry that an earlier run saved; None if its files are not in the folder any more.

        :param sources: as `OutputWriter.saved_paths` takes them.
        """
        find = partial(self.writer.saved_paths, item.entry, past, result, sources=sources)
        try:
            paths = await off_loop(self.output_dir, find)
        except RHError:  # saving will fail likewise, and says what is wrong with the disk
            return None
        if paths is None:
            return None
        return item.outcome(state="already_done", task_id=result.task_id, result=result, paths=paths)

    async def save(
        self, item: BatchItem, past: PriorAttempt, result: Result, *, sources: tuple[Path, ...] = ()
    ) -> BatchOutcome:
        """Save an entry's result, and return its outcome.

        How many outputs are written at once is bounded by the session. A bound here would be held by items that wait
        for a retry.

        :param sources: files with the same content, which are linked or copied instead of downloading.
        """
        self.state.start_saving(item)  # its slot is free for the next submit while its output is written
        try:
            paths = await self._save_with_retries(item.entry, past, result, sources or recorded_paths(past))
        except RHError as error:
            outcome = item.failure(error, state="save_failed", task_id=result.task_id, result=result)
            if outcome.cause in {"account", "local_io"}:
                self.state.stop(error)
            return outcome
        saved = evolve(result, paths=paths)
        return item.outcome(state="saved", task_id=result.task_id, result=saved, paths=paths)

    async def _save_with_retries(
        self, entry: Entry, past: PriorAttempt, result: Result, sources: tuple[Path, ...]
    ) -> tuple[Path, ...]:
        """Save a result; retry for an hour while the error is transient. The job is paid for: its output is worth it.

        :raises RHError: the output cannot be saved.
        """
        wait, until = FIRST_WAIT, anyio.current_time() + _PATIENCE
        while True:
            # After one disk error nothing more is tried: thousands of results would each fail on the same disk.
            if error := await self.own_error(self.state.disk_error, entry, past, result):
                raise error
            try:
                return await self.writer.save(entry, past, result, sources=sources)
            except RHError as error:
                if not is_safe_to_retry(error) or anyio.current_time() >= until:
                    add_earlier_paths(error, past)
                    named = error if error.task_id else await self.own_error(error, entry, past, result)
                    raise named or error from error.__cause__
                next_wait = self.state.note_retry(error, wait)
            await anyio.sleep(wait)
            wait = next_wait

    async def own_error(
        self, error: RHError | None, entry: Entry, past: PriorAttempt, result: Result
    ) -> RHError | None:
        """Return a disk error of another output as one about this entry's own file; any other error as it is."""
        if error is None or error.blame != "local_io":
            return error
        try:
            path = await off_loop(self.output_dir, partial(self.writer.first_path, entry, past, result))
        except RHError:
            path = self.output_dir
        if isinstance(error, SaveError):
            return error.about(path, result.task_id)
        return SaveError(f"{path} was not written: {error.message}", phase="download", task_id=result.task_id)
