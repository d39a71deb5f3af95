"""Says who encodes, decodes, queries, cancels and prices a task: the family of its request.

A family is a set of routes that share their shapes: standard models, and later workflows and AI apps. It is found by
the endpoint, which the journal keeps, so that a task is still queried by its own family after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rh_async.types import Snapshot, TaskId

from .standard_tasks import PriceQuote, StandardTasks
from .wire import ApiCall, ApiResponse


class TaskFamily(Protocol):
    """Build the calls about a task, and decode their responses. Without I/O.

    The API key is given to each call, because some routes want it in the body.
    """

    def owns(self, endpoint: str) -> bool:
        """Whether tasks of this endpoint belong to the family."""

    def encode_submit(self, api_key: str, endpoint: str, body: Mapping[str, Any]) -> ApiCall:
        """Build the call that creates a paid task."""

    def decode_submit(self, response: ApiResponse, *, currency: str | None = None) -> Snapshot:
        """Read the response to a submit.

        :raises SubmitUnknown: it is unknown whether a task was created.
        :raises ApiError: the submit was refused; ``retryable`` says whether it may be repeated.
        """

    def encode_query(self, api_key: str, task_id: TaskId) -> ApiCall:
        """Build the call that asks for a task's status."""

    def decode_query(self, response: ApiResponse, task_id: TaskId, *, currency: str | None = None) -> Snapshot:
        """Read the response to a query.

        :raises ApiError: the query failed, not the task.
        :raises InvalidResponse: the response cannot be read.
        """

    def encode_cancel(self, api_key: str, task_id: TaskId) -> ApiCall:
        """Build the call that stops a task."""

    def decode_cancel(self, response: ApiResponse) -> bool:
        """Whether the task was stopped; if not, it was over already.

        :raises RHError: the call was refused, or the response cannot be read.
        """

    def encode_price(self, api_key: str, endpoint: str, body: Mapping[str, Any]) -> ApiCall:
        """Build the call that asks what a submit would cost."""

    def decode_price(self, response: ApiResponse) -> PriceQuote:
        """Read what a submit would cost.

        :raises RHError: the call was refused, or the response cannot be read.
        """


STANDARD: TaskFamily = StandardTasks()
FAMILIES: tuple[TaskFamily, ...] = (STANDARD,)
"""All families, the most special first; the last owns every endpoint."""


def family_of(endpoint: str) -> TaskFamily:
    """Return the family of an endpoint; the standard one for "", where only the task's id is known."""
    return next(family for family in FAMILIES if family.owns(endpoint))
