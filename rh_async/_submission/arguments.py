"""Checks what a caller passed in: a wrong argument is refused with one line that says what was expected."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from rh_async._api.wire import UNSTORABLE
from rh_async._journal.records import SubmissionState
from rh_async.errors import InvalidRequestError
from rh_async.models.base import Request
from rh_async.models.media_input import Media, media_from
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


def request_from(given: object) -> Request:
    """Return a request.

    :raises InvalidRequestError: it is none.
    """
    if not isinstance(given, Request):
        raise InvalidRequestError(f"{given!r:.80} is no request")
    return given


def idempotency_key_from(given: str | None) -> str | None:
    """Return a key that a journal can store; None for None.

    :raises InvalidRequestError: it cannot be stored.
    """
    if given is not None and not (isinstance(given, str) and 0 < len(given) <= 500):
        raise InvalidRequestError(f"idempotency_key = {given!r:.80}: must be text of 1 to 500 characters")
    if given is not None and UNSTORABLE.search(given):
        raise InvalidRequestError(f"idempotency_key = {given!r:.80}: must hold no NUL and no half of a surrogate pair")
    return given


def media_source_from(given: object) -> Path | Media:
    """Return what is to be uploaded: a path, or media that are no file.

    :raises InvalidRequestError: it is neither.
    """
    if isinstance(given, str) and given.lower().startswith(("http://", "https://", "data:")):
        raise InvalidRequestError(f"{given!r:.80} is a link: it can stand in a request as it is")
    if isinstance(given, str | os.PathLike) and os.fspath(given):
        return Path(os.fsdecode(given))
    if (media := media_from(given)) is not None:
        return media
    hint = ": give Media.from_bytes(data, name)" if isinstance(given, bytes | bytearray | memoryview) else ""
    raise InvalidRequestError(f"{type(given).__name__} is no path, open binary file, image, stream or Media{hint}")
