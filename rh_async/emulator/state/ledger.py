"""What really happened, written down by the server's own hand: the witness that tests call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Literal

from attrs import asdict, define, field, frozen

from rh_async.emulator.http.payloads import Json

CallKind = Literal["query", "queue_status", "account", "price", "cancel", "app_demo"]


@frozen(kw_only=True)
class SubmitRecord:
    """A submit that arrived; its body is empty where it was dropped unread or could not be understood.

    :param code: why it was refused, "" when it was accepted.
    :param task_id: the task it created, "" when none.
    :param fault: the kind of fault that struck it, "" when none.
    """

    at: float
    endpoint: str
    body: Json
    code: str = ""
    task_id: str = ""
    fault: str = ""


@frozen(kw_only=True)
class TaskRecord:
    """A task as it stood when the ledger was read.

    :param started_at: None while it is queued.
    :param settles_at: when it settles or did; None while it is queued.
    :param status: the word a query would get.
    """

    task_id: str
    endpoint: str
    key_type: str
    created_at: float
    started_at: float | None
    settles_at: float | None
    charged: Decimal
    status: str

    def unsettled(self, at: float) -> bool:
        """Whether it existed and had not settled at an instant."""
        return self.created_at <= at and (self.settles_at is None or at < self.settles_at)


@frozen(kw_only=True)
class CallRecord:
    """A request that changes nothing but a cancelled task.

    :param task_id: what it asked about; None when it was not about one task.
    """

    at: float
    kind: CallKind
    task_id: str | None = None


@frozen(kw_only=True)
class UploadRecord:
    """A file that arrived whole.

    :param file_name: as the multipart part gave it.
    :param had_content_length: whether the request said its length.
    """

    at: float
    sha256: str
    size: int
    file_name: str
    had_content_length: bool


@frozen(kw_only=True)
class DownloadRecord:
    """An answer to a request for a file."""

    at: float
    path: str
    status: int


@frozen(kw_only=True)
class KeyLeakRecord:
    """A request for a file that carried an API key, which must never leave for a CDN."""

    at: float
    path: str


@frozen(kw_only=True)
class FaultRecord:
    """A fault that has struck.

    :param task_id: the task it struck or left behind, "" when none.
    :param ambiguous: whether a client that met it on a submit cannot know if there is a task now.
    """

    at: float
    route: str
    kind: str
    task_id: str
    ambiguous: bool


@frozen(kw_only=True)
class RateLimitedCallRecord:
    """A call that came too fast: nothing else was done about it, and it stands in no other list."""

    at: float
    route: str


@define(eq=False)
class Ledger:
    """Everything that reached the server, in order of arrival; times are the loop's clock."""

    _read_tasks: Callable[[], Iterable[TaskRecord]]
    submissions: list[SubmitRecord] = field(factory=list, init=False)
    calls: list[CallRecord] = field(factory=list, init=False)
    uploads: list[UploadRecord] = field(factory=list, init=False)
    downloads: list[DownloadRecord] = field(factory=list, init=False)
    key_leaks: list[KeyLeakRecord] = field(factory=list, init=False)
    faults: list[FaultRecord] = field(factory=list, init=False)
    rate_limited_calls: list[RateLimitedCallRecord] = field(factory=list, init=False)

    @property
    def tasks(self) -> list[TaskRecord]:
        """Every task created, oldest first."""
        return list(self._read_tasks())

    @property
    def total_charged(self) -> Decimal:
        """What all tasks cost together."""
        return sum((task.charged for task in self.tasks), Decimal(0))

    def unsettled(self, at: float) -> int:
        """Count the tasks that were unsettled at an instant."""
        return sum(task.unsettled(at) for task in self.tasks)

    def peak_unsettled(self) -> int:
        """Return the largest number of tasks that were ever unsettled at once, by the server's own times."""
        tasks = self.tasks
        steps = [(task.created_at, 1) for task in tasks]
        steps += [(task.settles_at, -1) for task in tasks if task.settles_at is not None]
        peak = level = 0
        for _, step in sorted(steps):  # a task that settles makes room for one created at the same instant
            level += step
            peak = max(peak, level)
        return peak

    def as_json(self) -> Json:
        """Write the whole ledger as plain JSON, money as text."""
        lists: dict[str, list[Any]] = {
            "submissions": self.submissions,
            "tasks": self.tasks,
            "calls": self.calls,
            "uploads": self.uploads,
            "downloads": self.downloads,
            "key_leaks": self.key_leaks,
            "faults": self.faults,
            "rate_limited_calls": self.rate_limited_calls,
        }
        pages = {name: [asdict(row, value_serializer=_plain) for row in rows] for name, rows in lists.items()}
        return {**pages, "total_charged": str(self.total_charged), "peak_unsettled": self.peak_unsettled()}


def _plain(_record: object, _attribute: object, value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value
