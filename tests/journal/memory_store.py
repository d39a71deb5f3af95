"""A second store: records in memory, shared by the journals of one process. It shows what another store has to do."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import uuid4

from attrs import define, evolve, field

from rh_async import JournalError
from rh_async.errors import RHError
from rh_async.journal import SubmissionRecord, SubmissionState
from rh_async.types import TaskId, Upload


@define(eq=False)
class Place:
    """What all stores on one place share, as a file or a server would."""

    records: dict[int, tuple[str, str, SubmissionRecord]] = field(factory=dict)  #: position: site, API key, record
    uploads: dict[tuple[str, str, str, int], tuple[Upload, float]] = field(factory=dict)
    alive: set[str] = field(factory=set)
    position: int = 0
    lock: threading.RLock = field(factory=threading.RLock)


@define(eq=False)
class MemoryStore:
    """Keeps to `JournalStore`."""

    place: Place
    site: str
    owner: str = field(factory=lambda: uuid4().hex)
    location: str = "memory"
    errors: tuple[type[Exception], ...] = ()
    _api_key: str = field(default="", init=False)

    def open(self, api_key: str) -> None:
        """Show that the session is running."""
        self._api_key = api_key
        self.place.alive.add(self.owner)

    def close(self) -> None:
        """Show that the session has ended."""
        self.place.alive.discard(self.owner)

    def is_alive(self, owner: str) -> bool:
        """Whether a session is running."""
        return owner in self.place.alive

    def process_of(self, _owner: str) -> int:
        """No process is known."""
        return 0

    @contextmanager
    def transaction(self) -> Iterator[JournalError | None]:
        """Keep other sessions out, and undo everything on an error."""
        with self.place.lock, self.savepoint():
            yield None

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what is written inside on an error."""
        before = dict(self.place.records)
        try:
            yield
        except Exception:
            self.place.records = before
            raise

    def spoils_transaction(self, _error: BaseException) -> bool:
        """Memory is never full."""
        return False

    def is_transient(self, _error: BaseException) -> bool:
        """Nor is it locked."""
        return False

    def describe(self, error: Exception) -> RHError:
        """The error itself, where it is one of the package's."""
        return error if isinstance(error, RHError) else JournalError(repr(error))

    def compact(self) -> None:
        """Do nothing."""

    def find(self, key: str) -> SubmissionRecord | None:
        """The last attempt of a key."""
        return max((one for one in self._all() if one.key == key), key=lambda one: one.attempt, default=None)

    def find_by_task(self, task_id: TaskId) -> SubmissionRecord | None:
        """The attempt that bought a task."""
        return next((one for one in self._all() if one.task_id == task_id), None)

    def find_by_webhook_token(self, token: str) -> SubmissionRecord | None:
        """The attempt with a token."""
        return next((one for one in self._all() if one.webhook_token == token), None)

    def insert(self, record: SubmissionRecord) -> None:
        """Add an attempt."""
        assert all((one.key, one.attempt) != (record.key, record.attempt) for one in self._all())
        self.place.position += 1
        self.place.records[self.place.position] = self.site, self._api_key, record

    def update_if(self, known: SubmissionRecord, changed: SubmissionRecord) -> bool:
        """Replace a record that is still as known."""
        position = self._position(known)
        if position is not None:
            self.place.records[position] = (*self.place.records[position][:2], changed)
        return position is not None

    def delete_if(self, known: SubmissionRecord) -> bool:
        """Delete a record that is still as known."""
        position = self._position(known)
        if position is not None:
            del self.place.records[position]
        return position is not None

    def list_in_states(self, states: Collection[SubmissionState]) -> list[SubmissionRecord]:
        """Every attempt in one of these states, oldest first."""
        return sorted((one for one in self._all() if one.state in states), key=lambda one: one.claimed_utc)

    def page(
        self, states: Collection[SubmissionState], prefix: str, *, after: int
    ) -> list[tuple[int, SubmissionRecord]]:
        """The next attempt, alone on its page."""
        rows = ((at, self._seen(row)) for at, row in sorted(self.place.records.items()) if at > after)
        wanted = ((at, one) for at, one in rows if one and one.state in states and one.key.startswith(prefix))
        return list(wanted)[:1]

    def last_settled(self, endpoint: str, *, limit: int) -> list[SubmissionRecord]:
        """The last attempts whose run time is known."""
        settled = self.list_in_states([SubmissionState.SETTLED, SubmissionState.SAVED])
        known = [one for one in settled if one.endpoint == endpoint and one.noticed_utc and one.submitted_utc]
        return sorted(known, key=lambda one: one.noticed_utc or "", reverse=True)[:limit]

    def find_upload(self, sha256: str, size: int, *, now: float) -> tuple[Upload, float] | None:
        """An upload whose link still serves."""
        found = self.place.uploads.get((self.site, self._api_key, sha256, size))
        return found if found is not None and found[1] > now else None

    def save_upload(self, upload: Upload, *, until: float) -> None:
        """Keep an upload."""
        self.place.uploads[self.site, self._api_key, upload.sha256, upload.size] = upload, until

    def forget_upload(self, sha256: str) -> None:
        """Forget every upload of this content."""
        for key in [key for key in self.place.uploads if key[:3] == (self.site, self._api_key, sha256)]:
            del self.place.uploads[key]

    def _all(self) -> list[SubmissionRecord]:
        return [one for row in list(self.place.records.values()) if (one := self._seen(row)) is not None]

    def _seen(self, row: tuple[str, str, SubmissionRecord]) -> SubmissionRecord | None:
        site, api_key, record = row
        return evolve(record, foreign=api_key != self._api_key) if site == self.site else None

    def _position(self, known: SubmissionRecord) -> int | None:
        for position, row in self.place.records.items():
            one = self._seen(row)
            if one is not None and all(
                getattr(one, name) == getattr(known, name) for name in ("key", "attempt", "state", "owner")
            ):
                return position
        return None
