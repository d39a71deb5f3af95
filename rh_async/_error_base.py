"""Defines the root of the exception tree: what every error of this package carries, and how it is copied."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from ._printable import one_line
from .types import TaskId

Blame = Literal["job", "account", "transient", "local_io"]
"""What has to change before the same can succeed: the job's inputs, the account, time alone, or this machine's disk."""


class RHError(Exception):
    """The root: every error of this package.

    :ivar phase: what was being done: ``submit``, ``query``, ``upload``, ``download``, ``account`` or "".
    :ivar code: the server's error code, as text, or "".
    :ivar retryable: whether doing the same again is both harmless and sensible.
    :ivar maybe_billed: whether the account may have been charged.
    :ivar task_id: the server's id, where known.
    :ivar key: the caller's key, where known.
    :ivar earlier: the failures of earlier attempts, oldest first.
    :ivar advice: what to do next.
    """

    retryable: bool = False
    maybe_billed: bool = False
    advice: str = ""
    _blame: ClassVar[Blame | None] = None
    _exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        phase: str = "",
        code: str = "",
        retryable: bool | None = None,
        maybe_billed: bool | None = None,
        task_id: TaskId | None = None,
        key: str | None = None,
        advice: str | None = None,
    ) -> None:
        message = one_line(message)  # it may quote the server, and ends in logs and on terminals
        super().__init__(message)
        self.message = message
        self.phase = phase
        self.code = code
        self.retryable = type(self).retryable if retryable is None else retryable
        self.maybe_billed = type(self).maybe_billed if maybe_billed is None else maybe_billed
        self.task_id = task_id
        self.key = key
        self.advice = type(self).advice if advice is None else advice
        self.earlier: tuple[RHError, ...] = ()

    @property
    def blame(self) -> Blame:
        """What has to change: the class decides; where it leaves that open, what may be repeated only needs time."""
        return self._blame or ("transient" if self.retryable else "job")

    @property
    def exit_code(self) -> int:
        """What a command that ends with this error returns to the shell."""
        return self._exit_code

    def __str__(self) -> str:
        known = [f"task {self.task_id}" if self.task_id else "", f"key {self.key}" if self.key else ""]
        ids = ", ".join(filter(None, known))
        message = self.message.rstrip(".。 ")
        return " ".join(filter(None, [f"{message}{f' ({ids})' if ids else ''}.", self.advice]))

    def after(self, earlier: Sequence[RHError]) -> Self:
        """Remember the failures of earlier attempts, and return this error."""
        self.earlier = tuple(earlier)
        return self

    def fresh(self) -> Self:
        """Copy the error to raise it: an exception raised twice would grow its traceback and share its notes."""
        copied = copy.copy(self)
        copied.__cause__ = self.__cause__
        copied.__dict__.pop("__notes__", None)
        for note in getattr(self, "__notes__", ()):
            copied.add_note(note)
        return copied
