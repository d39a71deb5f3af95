"""Describes a batch's progress in words: the parts that the live view, the log and the summary are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rh_async.batch import BatchProgress, ErrorGroup

SEPARATOR = " · "
_ENDED = "saved", "already_done", "failed", "rejected", "unconfirmed", "save_failed"


def log_line(progress: BatchProgress, *, idle_time: float = 0.0) -> str:
    """Describe the progress on one line of a log.

    :param idle_time: seconds for which a response has been due; 0 while the network does not stall.
    """
    parts = [*active_parts(progress), *ended_parts(progress)]
    parts += [f"skipped {progress.skipped:,}"] if progress.skipped else []
    parts += [*money_parts(progress), time_left(progress), stall_text(idle_time)]
    parts += [_error_text(group) for group in progress.errors[:1]]
    return SEPARATOR.join(filter(None, parts))


def clock(seconds: float) -> str:
    """Format seconds as minutes and seconds, with hours where there are any."""
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def active_parts(progress: BatchProgress) -> list[str]:
    """Count the jobs that have not ended, by what they wait for."""
    return [
        f"waiting {progress.waiting:,}",
        f"uploading {progress.uploading:,}",
        f"in flight {progress.in_flight:,} of {progress.limit:,}",
        f"saving {progress.saving:,}",
    ]


def ended_parts(progress: BatchProgress) -> list[str]:
    """Count the jobs that have ended, by their state."""
    counts = {state: getattr(progress, state) for state in _ENDED}
    always = {"saved", "failed"}
    return [f"{state.replace('_', ' ')} {count:,}" for state, count in counts.items() if count or state in always]


def count_ended(progress: BatchProgress) -> int:
    """Count the jobs that have ended, well or not; skipped ones were never started."""
    return sum(getattr(progress, state) for state in _ENDED)


def money_parts(progress: BatchProgress) -> list[str]:
    """List what the batch has cost: by this run, by earlier ones, by what runs, and where the server did not say."""
    parts = [f"{progress.currency} {progress.spent:,.2f} spent by this run".strip()]
    parts += [f"{progress.spent_earlier:,.2f} by earlier runs"] if progress.spent_earlier else []
    parts += [f"{progress.reserved:,.2f} reserved"] if progress.reserved else []
    if progress.maybe_billed_jobs:
        jobs = "1 job" if progress.maybe_billed_jobs == 1 else f"{progress.maybe_billed_jobs:,} jobs"
        parts.append(f"{progress.maybe_billed:,.2f} maybe billed ({jobs})")
    parts += [] if progress.budget is None else [f"budget {progress.budget:,.2f}"]
    return parts


def time_left(progress: BatchProgress) -> str:
    """Describe the remaining time; "" while it is unknown."""
    if progress.time_left is None:
        return ""
    low, middle, high = progress.time_left
    return f"{clock(middle)} left ({clock(low)} to {clock(high)})"


def stall_text(idle_time: float) -> str:
    """Describe a stall of the network; "" while there is none."""
    return f"nothing heard from the server for {idle_time:.0f} s" if idle_time else ""


def _error_text(group: ErrorGroup) -> str:
    return f"{group.count:,} × {group.kind}: {group.example}"
