"""The journal's store in one SQLite file, which sessions of several processes share.

Of the API key it keeps a salted fingerprint, so that a row made under another key is recognised, never the key.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

from rh_async.errors import JournalError, RHError
from rh_async.types import TaskId, Upload

from . import sqlite_errors
from .lease import ProcessLease
from .records import SubmissionRecord, SubmissionState
from .sqlite_file import JournalFile
from .sqlite_schema import COLUMNS, record_from, row_from

_PAGE = 500  # rows that are in memory at once where all are read

_SELECTED = ", ".join((*COLUMNS, "fingerprint"))

_AS_KNOWN = "site = ? AND key = ? AND attempt = ? AND state = ? AND owner = ?"
"""A row as its reader knew it. If another session has changed it meanwhile, no row matches."""


@define(eq=False, repr=False)
class SqliteStore:
    """One site's rows in one SQLite file. Keeps to `JournalStore`.

    :param path: of the file; made if missing, readable by its owner alone.
    :param site: whose rows these are: the same file may hold several sites'.
    """

    path: Path
    site: str
    lease: ProcessLease = field(init=False)
    file: JournalFile = field(init=False)
    fingerprint: str = field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        self.lease = ProcessLease(self.path.with_name(self.path.name + ".owners"))
        self.file = JournalFile(self.path, self.lease)

    @property
    def owner(self) -> str:
        """The name of this session's lease."""
        return self.lease.name

    @property
    def location(self) -> str:
        """The file's path."""
        return str(self.path)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """SQLite's errors, and the file system's."""
        return sqlite3.Error, OSError

    @property
    def _db(self) -> sqlite3.Connection:
        return self.file.db  # not kept here: the file exchanges its connection when its path is replaced

    def open(self, api_key: str) -> None:
        """Open the file, and lock this session's lease file beside it.

        :raises JournalError: it is no journal, newer than this program, corrupt, or cannot be written.
        """
        self.file.open()
        self.fingerprint = hashlib.blake2b(api_key.encode(), salt=self.file.salt, digest_size=16).hexdigest()

    def close(self) -> None:
        """Close the file, and remove the lease."""
        self.file.close()

    # --- sessions ----------------------------------------------------------------------------------------------------

    def is_alive(self, owner: str) -> bool:
        """Return whether a session is running.

        :raises OSError: that cannot be found out.
        """
        return self.lease.is_alive(owner)

    def process_of(self, owner: str) -> int:
        """Return a session's process id; 0 if it is not known."""
        try:
            return self.lease.session(owner).pid
        except OSError:
            return 0

    # --- transactions ------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[JournalError | None]:
        """Hold SQLite's one write lock from the first read to the commit, so that no row changes in between."""
        try:
            lost = self.file.lost()
            self._db.execute("BEGIN IMMEDIATE")
            yield lost
            self._db.execute("COMMIT")
        except BaseException:
            self.file.roll_back()
            raise

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo one change that raises: what it had written before it failed must not be committed with the others."""
        self._db.execute("SAVEPOINT one")
        try:
            yield
        except Exception as error:
            if not self.spoils_transaction(error):
                self._db.execute("ROLLBACK TO one")
                self._db.execute("RELEASE one")
            raise
        self._db.execute("RELEASE one")

    def spoils_transaction(self, error: BaseException) -> bool:
        """Return whether an error concerns the file, or SQLite has rolled the transaction back by itself."""
        return sqlite_errors.concerns_file(error) or not self._db.in_transaction

    def is_transient(self, error: BaseException) -> bool:
        """Return whether another process holds the lock, or this machine is short of something."""
        return sqlite_errors.is_transient(error)

    def describe(self, error: Exception) -> RHError:
        """Return an error that names the file."""
        return sqlite_errors.describe(error, self.path)

    def compact(self) -> None:
        """Copy the write-ahead log into the file."""
        self.file.copy_log()

    # --- records -----------------------------------------------------------------------------------------------------

    def find(self, key: str) -> SubmissionRecord | None:
        """Return the last attempt of a key."""
        return self._first("key = ? ORDER BY attempt DESC LIMIT 1", key)

    def find_by_task(self, task_id: TaskId) -> SubmissionRecord | None:
        """Return the attempt that bought a task."""
        return self._first("task_id = ?", task_id)

    def find_by_webhook_token(self, token: str) -> SubmissionRecord | None:
        """Return the attempt whose webhook address carries a token."""
        return self._first("nonce = ?", token)

    def insert(self, record: SubmissionRecord) -> None:
        """Add a row."""
        values = (self.site, self.fingerprint, *row_from(record))
        names, marks = ", ".join(("site", "fingerprint", *COLUMNS)), ", ".join("?" * len(values))
        self._db.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", values)  # noqa: S608 - names of columns

    def update_if(self, known: SubmissionRecord, changed: SubmissionRecord) -> bool:
        """Replace a row that is still as known; its fingerprint stays."""
        names = ", ".join(f"{name} = ?" for name in COLUMNS)
        return self._change(f"UPDATE jobs SET {names} WHERE {_AS_KNOWN}", *row_from(changed), known=known)  # noqa: S608

    def delete_if(self, known: SubmissionRecord) -> bool:
        """Delete a row that is still as known."""
        return self._change(f"DELETE FROM jobs WHERE {_AS_KNOWN}", known=known)  # noqa: S608 - a constant

    def _change(self, statement: str, *values: object, known: SubmissionRecord) -> bool:
        as_known = (self.site, known.key, known.attempt, known.state, known.owner)
        return self._db.execute(statement, (*values, *as_known)).rowcount > 0

    def list_in_states(self, states: Collection[SubmissionState]) -> list[SubmissionRecord]:
        """Return every attempt in one of these states, oldest first."""
        return self._select(f"state IN ({_marks(states)}) ORDER BY claimed_utc", *states)

    def page(
        self, states: Collection[SubmissionState], prefix: str, *, after: int
    ) -> list[tuple[int, SubmissionRecord]]:
        """Return the next attempts in one of these states whose key begins so, each with its rowid."""
        # The plus keeps SQLite from the index by site, which would have it sort all rows before the first is there.
        chosen = (
            f"SELECT rowid, {_SELECTED} FROM jobs WHERE rowid > ? AND +site = ? AND state IN ({_marks(states)})"  # noqa: S608
            " AND substr(key, 1, ?) = ? ORDER BY rowid LIMIT ?"
        )
        rows = self._db.execute(chosen, (after, self.site, *states, len(prefix), prefix, _PAGE))
        return [(row[0], self._record(row[1:])) for row in rows]

    def last_settled(self, endpoint: str, *, limit: int) -> list[SubmissionRecord]:
        """Return the last attempts at a model whose run time is known, newest first."""
        where = (
            "endpoint = ? AND state IN ('settled', 'saved') AND error IS NULL AND submitted_utc IS NOT NULL"
            " AND noticed_utc IS NOT NULL ORDER BY noticed_utc DESC LIMIT ?"
        )
        return self._select(where, endpoint, limit)

    def _first(self, where: str, *values: object) -> SubmissionRecord | None:
        found = self._select(where, *values)
        return found[0] if found else None

    def _select(self, where: str, *values: object) -> list[SubmissionRecord]:
        chosen = f"SELECT {_SELECTED} FROM jobs WHERE site = ? AND {where}"  # noqa: S608 - constants of this module
        return [self._record(row) for row in self._db.execute(chosen, (self.site, *values))]

    def _record(self, row: tuple[object, ...]) -> SubmissionRecord:
        return record_from(dict(zip(COLUMNS, row, strict=False)), foreign=row[-1] != self.fingerprint)

    # --- uploads -----------------------------------------------------------------------------------------------------

    def find_upload(self, sha256: str, size: int, *, now: float) -> tuple[Upload, float] | None:
        """Return an upload of this content under this API key whose link still serves, and until when it does."""
        row = self._db.execute(
            "SELECT file_name, url, until FROM uploads"
            " WHERE site = ? AND fingerprint = ? AND sha256 = ? AND size = ? AND until > ?",
            (self.site, self.fingerprint, sha256, size, now),
        ).fetchone()
        return None if row is None else (Upload(file_name=row[0], url=row[1], sha256=sha256, size=size), row[2])

    def save_upload(self, upload: Upload, *, until: float) -> None:
        """Keep an upload; a renewed link takes the place of the earlier one."""
        values = (self.site, self.fingerprint, upload.sha256, upload.size, upload.file_name, upload.url, until)
        self._db.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def forget_upload(self, sha256: str) -> None:
        """Forget every upload of this content under this API key."""
        values = (self.site, self.fingerprint, sha256)
        self._db.execute("DELETE FROM uploads WHERE site = ? AND fingerprint = ? AND sha256 = ?", values)


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))
