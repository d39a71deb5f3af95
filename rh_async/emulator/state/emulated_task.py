"""One task of the emulated account, and how a fault changes it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attrs import Factory, define, evolve, field, frozen

from rh_async.emulator.catalogue.emulated_models import Model
from rh_async.emulator.state.file_store import StoredFile
from rh_async.emulator.state.ledger import TaskRecord


@frozen(kw_only=True)
class TaskInputs:
    """The uploaded files that a task processes; None for a file on another server, or no file."""

    image: StoredFile | None = None
    video: StoredFile | None = None

    def with_file(self, stored: StoredFile | None) -> TaskInputs:
        """Return these inputs with an image or a video added; other files are not used."""
        if stored is None or stored.kind not in {"image", "video"}:
            return self
        return evolve(self, **{stored.kind: stored})


@define(kw_only=True)
class TaskEffect:
    """How a task differs from one without a fault.

    The numbers of responses count down: a query that gets one of these responses uses it up.

    :param final_status: the status in which the task settles.
    :param code: the ``errorCode`` of a failed task.
    :param message: the ``errorMessage`` of a failed task.
    :param has_usage: whether a failed task reports a usage.
    :param failed_reason: the ``failedReason`` of a failed task.
    :param prompt_tips: the ``promptTips`` of the submit's response; "" for the usual ones.
    :param task_status: the status in the next `unknown_status_responses`.
    :param output_type: the type that its results have; "" for their own.
    :param responses_without_results: how many responses with SUCCESS have no results.
    :param settles_on_submit: whether the task settles when it is created.
    :param not_found_seconds: how long after its creation the task is not found.
    :param slot_release_delay: how many seconds after it settled the task holds its slot (contract 9).
    """

    final_status: str = "SUCCESS"
    code: str = ""
    message: str = ""
    has_usage: bool = False
    failed_reason: Any = None
    prompt_tips: str = ""
    task_status: str = ""
    unknown_status_responses: int = 0
    output_type: str = ""
    responses_without_results: int = 0
    settles_on_submit: bool = False
    not_found_seconds: float = 0.0
    slot_release_delay: float = 0.0


@define(eq=False, kw_only=True)
class Task:
    """One task; ``started_at`` and ``settles_at`` are exact, however late they are read."""

    task_id: str
    model: Model
    key_type: str
    inputs: TaskInputs
    run_time: float
    charged: Decimal
    effect: TaskEffect = field(default=Factory(TaskEffect))
    created_at: float = 0.0
    started_at: float | None = None
    settles_at: float | None = None
    status: str = "QUEUED"

    @property
    def settled(self) -> bool:
        return self.status not in {"QUEUED", "RUNNING"}

    def to_record(self) -> TaskRecord:
        """Return the task in its present state, for the ledger."""
        return TaskRecord(
            task_id=self.task_id,
            endpoint=self.model.endpoint,
            key_type=self.key_type,
            created_at=self.created_at,
            started_at=self.started_at,
            settles_at=self.settles_at,
            charged=self.charged,
            status=self.status,
        )
