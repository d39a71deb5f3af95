"""The nouns that travel, frozen. What the server says stays as open as the server: statuses are words, not an enum."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, NewType

from attrs import field, frozen

TaskId = NewType("TaskId", str)
"""What the server calls a job: a 19-digit decimal, always kept as text (contract 3.1)."""


class Secret(str):
    """Text that does not show itself: crash reporters send the ``repr`` of every local variable on an error's way."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


SUCCEEDED = frozenset({"SUCCESS"})
FAILED = frozenset({"FAILED"})
# CANCEL is the official kit's word; the other spellings are tolerated by third parties (contract 4.2).
CANCELLED = frozenset({"CANCEL", "CANCELLED", "CANCELED"})
# Other in-flight words mean the same: what is not settled goes on.
IN_FLIGHT = frozenset({"CREATE", "PENDING", "QUEUED", "RUNNING"})
QUEUED = IN_FLIGHT - {"RUNNING"}  # accepted, and not yet begun
SETTLED = SUCCEEDED | FAILED | CANCELLED


OnExit = Literal["detach", "cancel", "drain"]
"""What becomes of jobs in flight when a session is left: they go on remotely, are stopped, or are waited for."""


@frozen(kw_only=True)
class Output:
    """One thing a job made.

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
    """What a job cost, as far as the server said; None where it did not.

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
    """One answer about one job.

    :param status: the server's word, whatever it is; "" when it sent none.
    :param code: the error code beside it, "" when there is none.
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
    """What a job that succeeded made.

    :param submitted_utc: when the server accepted it; None if another program submitted it.
    :param noticed_utc: when we learnt that it had succeeded.
    :param raw: the bytes of the server's last answer.
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
    """A local file as the server knows it; it can stand wherever a path can.

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
    """What the account says of itself; None where it does not (contract 6, 9).

    :param key_type: NORMAL, SHARED or EXCLUSIVE.
    :param limit: how many tasks it may have at once.
    :param running: of its tasks.
    :param queued: of its tasks.
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
        """How many tasks it has, running and queued."""
        return None if self.running is None else self.running + (self.queued or 0)
