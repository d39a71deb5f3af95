"""Defines the events of a session, as frozen values for its ``on_event`` callback."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from .errors import RHError
from .types import Result, Snapshot, TaskId, Upload


@frozen(kw_only=True)
class Uploading:
    """Report how much of a file is uploaded.

    :param bytes: sent so far.
    :param total: the file's size in bytes.
    """

    path: Path
    bytes: int
    total: int


@frozen(kw_only=True)
class Uploaded:
    """Report that a file is uploaded."""

    path: Path
    upload: Upload


@frozen(kw_only=True)
class Submitted:
    """Report that the server accepted a job: it is billed from here on."""

    task_id: TaskId
    endpoint: str


@frozen(kw_only=True)
class Flawed:
    """Report that an accepted job's workflow has an error: the job is billed, and will probably fail.

    :param flaw: what the server found.
    """

    task_id: TaskId
    flaw: str


@frozen(kw_only=True)
class Changed:
    """Report a job's new status."""

    snapshot: Snapshot


@frozen(kw_only=True)
class Settled:
    """Report that a job is done, with a result or with an error; ``task_id`` is None if it was never accepted."""

    task_id: TaskId | None
    result: Result | None = None
    error: RHError | None = None


@frozen(kw_only=True)
class Downloading:
    """Report how much of an output is downloaded.

    :param bytes: received so far.
    :param total: None if the server does not say.
    """

    task_id: TaskId
    bytes: int
    total: int | None


@frozen(kw_only=True)
class Saved:
    """Report that a job's outputs are on disk.

    :param unverified: those of ``paths`` that came without a length, and whose structure does not prove them whole.
    """

    task_id: TaskId
    paths: tuple[Path, ...]
    unverified: tuple[Path, ...] = ()


@frozen(kw_only=True)
class Waiting:
    """Report that the session has to wait.

    :param reason: ``capacity`` (the account admits no more jobs), ``rate`` (too many requests) or ``journal`` (its
        file cannot be written for now, as while a backup holds its lock; what runs goes on, nothing new is submitted).
    :param seconds: for how long, at most; with ``journal``, until it is tried again.
    """

    reason: str
    seconds: float


@frozen(kw_only=True)
class Warned:
    """Report something unexpected that is harmless as far as is known; emitted once in a session.

    :param code: a name for programs: ``upload_name`` (the server's name for a file holds another SHA-256 than ours).
    :param message: for people.
    """

    code: str
    message: str


Event = Uploading | Uploaded | Submitted | Flawed | Changed | Settled | Downloading | Saved | Waiting | Warned
