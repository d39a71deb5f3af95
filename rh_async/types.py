"""Defines the frozen values that every layer uses. A status is text, not an enum: the server may name new ones."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, NewType

from attrs import field, frozen

TaskId = NewType("TaskId", str)
"""The server's id of a task: a 19-digit decimal, always kept as text (contract 3.1)."""


class Secret(str):
    """Hide text from ``repr``: crash reporters send the ``repr`` of every local variable of a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


SUCCEEDED = frozenset({"SUCCESS"})
FAILED = frozenset({"FAILED"})
# CANCEL is the official kit's word; the other spellings are tolerated by third parties (contract 4.2).
CANCELLED = frozenset({"CANCEL", "CANCELLED", "CANCELED"})
# A status that is in none of these sets counts as in flight, too: what is not settled may still end, and is billed.
IN_FLIGHT = frozenset({"CREATE", "PENDING", "QUEUED", "RUNNING"})
QUEUED = IN_FLIGHT - {"RUNNING"}  # accepted, and not running yet
SETTLED = SUCCEEDED | FAILED | CANCELLED


OnExit = Literal["detach", "cancel", "drain"]
"""What happens to jobs in flight when a session closes: they go on remotely, are cancelled, or are waited for."""


@frozen(kw_only=True)
class Output:
    """Hold one output of a job.

    :param url: where it can be fetched, for about 24 h (contract 4.5); None for text.
    :param type: what the server calls it, in lower case: an extension (``mp4``) or a word (``video``, ``3d``); "" if it
        names none.
    :param node_id: the ComfyUI node it came from, where there is one.
    :param text: what a text model wrote.
    """

    url: str | None = None
    type: str = ""
    node_id: str | None = None
    text: str | None = None


@frozen(kw_only=True)
class Usage:
    """Hold what a job cost; None where the server does not say.

    :param money: wallet money, in ``currency``.
    :param currency: USD or CNY by site; None for hosts that are neither (contract 10).
    :param coins: RH coins.
    :param seconds: the run time the server reports.
    """

    money: Decimal | None = None
    currency: str | None = None
    coins: Decimal | None = None
    seconds: Decimal | None = None


@frozen(kw_only=True)
class Snapshot:
    """Hold one response about one job.

    :param status: as the server wrote it, in capitals; "" if it sent none.
    :param code: the error code beside the status; "" if there is none.
    :param reason: why the job failed, in the server's words: ``node: what happened`` for a workflow; "" where unsaid.
    :param flaw: what the server found wrong with the workflow when it accepted the job; "" where it found nothing.
    :param raw: the bytes the server sent, once the job has settled.
    """

    task_id: TaskId
    status: str
    code: str = ""
    message: str = ""
    reason: str = ""
    flaw: str = ""
    outputs: tuple[Output, ...] = ()
    usage: Usage = Usage()
    raw: bytes = field(default=b"", repr=False)

    @property
    def settled(self) -> bool:
        """Whether the job has succeeded, failed or been cancelled."""
        return self.status in SETTLED

    @property
    def succeeded(self) -> bool:
        """Whether the job has succeeded."""
        return self.status in SUCCEEDED

    @property
    def cancelled(self) -> bool:
        """Whether the job has been cancelled."""
        return self.status in CANCELLED


@frozen(kw_only=True)
class Result:
    """Hold what a job that succeeded made.

    :param submitted_utc: when the server accepted it; None if another program submitted it.
    :param noticed_utc: when this program learnt that the job had succeeded.
    :param raw: the bytes of the server's last response.
    :param paths: where the outputs were saved, in their order; empty until they are.
    """

    task_id: TaskId
    outputs: tuple[Output, ...]
    usage: Usage
    noticed_utc: datetime
    submitted_utc: datetime | None = None
    raw: bytes = field(default=b"", repr=False)
    paths: tuple[Path, ...] = ()


@frozen(kw_only=True)
class Upload:
    """Hold a local file as the server knows it; an upload can stand wherever a path can.

    :param file_name: the server's name for it, what ``NN##field`` parameters take (contract 2.5).
    :param url: a signed link that lives 24 h, what ``*Url`` parameters take (contract 5.1).
    :param sha256: of the content, in hex.
    :param size: in bytes.
    """

    file_name: str = ""
    url: str | None = field(default=None, repr=False)
    sha256: str = ""
    size: int = 0


@frozen(kw_only=True)
class Account:
    """Hold what the server says of the account; None where it says nothing (contract 6, 9).

    :param key_type: NORMAL, SHARED or EXCLUSIVE.
    :param limit: how many tasks it may have at once.
    :param running: how many of its tasks run.
    :param queued: how many of its tasks wait at the server.
    :param money: in the wallet, in ``currency``.
    :param coins: RH coins.
    """

    key_type: str | None = None
    limit: int | None = None
    running: int | None = None
    queued: int | None = None
    money: Decimal | None = None
    currency: str | None = None
    coins: Decimal | None = None

    @property
    def unsettled(self) -> int | None:
        """How many tasks the account has, running and queued."""
        return None if self.running is None else self.running + (self.queued or 0)
