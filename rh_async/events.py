"""What happens in a session, as frozen values for its ``on_event`` callback; logging is one such observer."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from .errors import RHError
from .types import Result, Snapshot, TaskId, Upload


@frozen(kw_only=True)
class Uploading:
    """Some of a file went up.

    :param bytes: sent so far.
    :param total: the file's size in bytes.
    """

    path: Path
    bytes: int
    total: int


@frozen(kw_only=True)
class Uploaded:
    """The server has a file."""

    path: Path
    upload: Upload


@frozen(kw_only=True)
class Submitted:
    """The server accepted a job."""

    task_id: TaskId
    endpoint: str


@frozen(kw_only=True)
class Flawed:
    """The server accepted a job, and found something wrong with its workflow: it is paid, and will probably fail.

    :param flaw: what it found.
    """

    task_id: TaskId
    flaw: str


@frozen(kw_only=True)
class Changed:
    """A job's status changed."""

    snapshot: Snapshot


@frozen(kw_only=True)
class Settled:
    """A job ended, well or not; ``task_id`` is None if it was never accepted."""

    task_id: TaskId | None
    result: Result | None = None
    error: RHError | None = None


@frozen(kw_only=True)
class Downloading:
    """Some of an output came down.

    :param bytes: received so far.
    :param total: None if the server does not say.
    """

    task_id: TaskId
    bytes: int
    total: int | None


@frozen(kw_only=True)
class Saved:
    """A job's outputs are on disk.

    :param unverified: those of ``paths`` that came without a length, and whose structure does not prove them whole.
    """

    task_id: TaskId
    paths: tuple[Path, ...]
    unverified: tuple[Path, ...] = ()


@frozen(kw_only=True)
class Waiting:
    """Something holds the session back.

    :param reason: ``capacity`` (the account admits no more jobs), ``rate`` (too many requests) or ``journal`` (its
        file cannot be written for now, as while a backup holds its lock; what runs goes on, nothing new is submitted).
    :param seconds: for how long, at most; with ``journal``, until it is tried again.
    """

    reason: str
    seconds: float


@frozen(kw_only=True)
class Warned:
    """Something is not as it was expected, and harmless as far as is known; told once in a session.

    :param code: a name for programs: ``upload_name`` (the server's name for a file holds another SHA-256 than ours).
    :param message: for people.
    """

    code: str
    message: str


Event = Uploading | Uploaded | Submitted | Flawed | Changed | Settled | Downloading | Saved | Waiting | Warned
