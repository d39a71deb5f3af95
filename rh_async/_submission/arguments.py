"""Checks what a caller passed in: a wrong argument is refused with one line that says what was expected."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from rh_async._journal.records import SubmissionState
from rh_async.errors import InvalidRequestError
from rh_async.types import TaskId


def output_dir_from(given: str | os.PathLike[str] | None) -> Path | None:
    """Return a folder's path; None for None.

    :raises InvalidRequestError: it is no path, or no path can be written so.
    """
    if given is None:
        return None
    try:
        os.fsencode(path := os.fsdecode(given))  # bytes that are no UTF-8 name a folder as well as any
    except (TypeError, UnicodeError):
        path = "\0"
    if "\0" in path:
        raise InvalidRequestError(f"output_dir = {given!r:.80}: must be a folder's path")
    return Path(path)


def task_id_from(given: object) -> TaskId:
    """Return a task id that is one by its form.

    :raises InvalidRequestError: it is none; the server is not asked about it.
    """
    if not isinstance(given, str) or not re.fullmatch(r"[0-9]{1,19}", given):
        raise InvalidRequestError(f"{given!r:.80} is no task id: one is up to 19 digits, as text")
    return TaskId(given)


def states_from(
    given: SubmissionState | str | Iterable[SubmissionState | str] | None,
) -> tuple[SubmissionState, ...]:
    """Return the states that are named; all of them for None.

    :raises InvalidRequestError: there is no such state.
    """
    if given is None:
        return tuple(SubmissionState)
    try:
        return tuple(map(SubmissionState, [given] if isinstance(given, str) else given))
    except (ValueError, TypeError):
        raise InvalidRequestError(f"state = {given!r:.80}: must be of {', '.join(SubmissionState)}") from None
