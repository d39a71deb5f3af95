"""Records every request that the server received, for tests to assert on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Literal

from attrs import asdict, define, field, frozen

CallKind = Literal["query", "queue_status", "account", "price", "cancel", "app_demo"]


@frozen(kw_only=True)
class SubmitRecord:
    """A submit that arrived; its body is empty if it was not read or not a JSON object.

    :param code: the error code in the response; "" if the submit was accepted.
    :param task_id: the task that was created; "" for none.
    :param fault: the kind of the fault that affected the submit; "" for none.
    """

    at: float
    endpoint: str
    body: dict[str, Any]
    code: str = ""
    task_id: str = ""
    fault: str = ""


@frozen(kw_only=True)
class TaskRecord:
    """A task in its state when the ledger was read.

    :param started_at: None while the task is queued.
    :param settles_at: when the task settles or has settled; None while it is queued.
    :param charged: in the currency of the account.
    :param status: the status that a query would return.
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
        """Whether the task existed and had not settled at a moment."""
        return self.created_at <= at and (self.settles_at is None or at < self.settles_at)


@frozen(kw_only=True)
class CallRecord:
    """A call other than a submit, an upload or a download.

    :param task_id: the task it was about; None if the call is not about one task.
    """

    at: float
    kind: CallKind
    task_id: str | None = None


@frozen(kw_only=True)
class UploadRecord:
    """A file that was uploaded completely.

    :param file_name: in the multipart part.
    :param had_content_length: whether the request had a ``Content-Length``.
    """

    at: float
    sha256: str
    size: int
    file_name: str
    had_content_length: bool


@frozen(kw_only=True)
class DownloadRecord:
    """A response to a request for a file."""

    at: float
    path: str
    status: int


@frozen(kw_only=True)
class KeyLeakRecord:
    """A request for a file that contained the API key, which a client must never send to a file host."""

    at: float
    path: str


@frozen(kw_only=True)
class FaultRecord:
    """A fault that was applied.

    :param task_id: the task it affected, or the submit created; "" for none.
    :param ambiguous: whether a client whose submit met the fault cannot know if a task was created.
    """

    at: float
    route: str
    kind: str
    task_id: str
    ambiguous: bool


@frozen(kw_only=True)
class RateLimitedCallRecord:
    """A call above the rate limit; it had no effect, and is in no other list of the ledger."""

    at: float
    route: str


@define(eq=False)
class Ledger:
    """Every request that the server received, in order of arrival; times are the loop's clock."""

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
        """Every task that was created, oldest first."""
        return list(self._read_tasks())

    @property
    def total_charged(self) -> Decimal:
        """The sum that all tasks were charged."""
        return sum((task.charged for task in self.tasks), Decimal(0))

    def unsettled(self, at: float) -> int:
        """Return how many tasks were unsettled at a moment."""
        return sum(task.unsettled(at) for task in self.tasks)

    def peak_unsettled(self) -> int:
        """Return the largest number of tasks that were unsettled at the same time."""
        tasks = self.tasks
        changes = [(task.created_at, 1) for task in tasks]
        changes += [(task.settles_at, -1) for task in tasks if task.settles_at is not None]
        peak = unsettled = 0
        for _, change in sorted(changes):  # -1 sorts first: a slot released at the same moment can be used again
            unsettled += change
            peak = max(peak, unsettled)
        return peak

    def as_json(self) -> dict[str, Any]:
        """Return the whole ledger as JSON values, with amounts of money as text."""
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
        records = {name: [asdict(row, value_serializer=_to_json) for row in rows] for name, rows in lists.items()}
        return {**records, "total_charged": str(self.total_charged), "peak_unsettled": self.peak_unsettled()}


def _to_json(_record: object, _attribute: object, value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value
