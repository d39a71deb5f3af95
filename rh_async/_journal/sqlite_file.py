"""The journal's SQLite file: creates it, recognises it, watches that it stays the same file, and copies it.

A journal that was deleted or replaced under a running session no longer knows what was bought: nothing may be bought by
it. Everything here blocks, and runs on the journal's thread. No descriptor of the file is ever opened beside SQLite's
own: closing it would drop SQLite's locks, which POSIX keeps per process and file.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from attrs import define, field

from rh_async.errors import JournalError

from .lease import ProcessLease, locked
from .sqlite_errors import describe, is_transient, message_of
from .sqlite_schema import VERSION, statements_to_newest

_OPENING_PATIENCE = 30.0  # seconds that opening waits for a lock
_BUSY_PATIENCE = 1.0  # seconds that an attempt waits for one: the thread can do nothing else meanwhile


@define(eq=False, repr=False)
class JournalFile:
    """One session's connection to the file.

    :param lease: shows that this session is running, and which file it has open.
    :ivar salt: of the fingerprints in this file.
    """

    path: Path
    lease: ProcessLease
    db: sqlite3.Connection = field(init=False)
    salt: bytes = field(default=b"", init=False)
    _files: Mapping[str, int | None] = field(factory=dict, init=False)
    _stamp: tuple[int, int] = field(default=(0, 0), init=False)  #: the main file, when last known to be the right one
    _tasks: int = field(default=0, init=False)  #: how many it held then
    _lost: JournalError | None = field(default=None, init=False)
    _rescued: bool = field(default=False, init=False)

    # --- opening and closing -----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the file, created if missing, and acquire this session's lease beside it.

        :raises JournalError: it is no journal, newer than this program, corrupt, in use under another file's name, or
            cannot be written.
        """
        try:
            with locked(
                self._beside("lock")
            ):  # without it, six sessions that opened a new file at once met "database is locked"
                self._refuse_directory()
                self._refuse_replaced_file()
                self._create()
                self._connect()
        except (sqlite3.Error, OSError) as error:
            raise describe(error, self.path) from error

    def _refuse_directory(self) -> None:
        if self.path.is_dir():
            raise JournalError(
                f"the journal {self.path} cannot be used: it is a directory", advice="Name a file in it, or another."
            )

    def _refuse_replaced_file(self) -> None:
        """Refuse a file while another copy of the journal may know of submissions that this one does not."""
        for kept in self.path.parent.glob(f"{_escape_glob(self.path.name)}.kept-*"):
            raise JournalError(
                f"{kept} holds what a session knew when its journal {self.path} was deleted or replaced",
                advice=_how_to_restore(kept, self.path),
            )
        for other in self.lease.others():
            if other.files and other.files.get("") != self._inodes().get(""):
                raise JournalError(
                    f"the journal {self.path} was deleted or replaced while process {other.pid} works with it",
                    advice="Let that process end, or stop it; then see what it says of its journal.",
                )

    def _create(self) -> None:
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _connect(self) -> None:
        self.db = sqlite3.connect(self.path, timeout=_OPENING_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
            self.salt = self.db.execute("SELECT value FROM meta WHERE name = 'salt'").fetchone()[0]
            self._tasks = _count_tasks(self.db)
            self._files, self._stamp = self._inodes(), self._size_and_time()
            self.lease.acquire(self._files)
        except BaseException:
            self.db.close()
            raise
        self.db.execute(f"PRAGMA busy_timeout = {_BUSY_PATIENCE * 1000:.0f}")

    def _prepare(self) -> None:
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        self._refuse_other_database(version)
        if self.db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            self.db.execute("PRAGMA journal_mode = WAL").fetchone()
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.execute(
            "PRAGMA wal_autocheckpoint = 0"
        )  # so a commit never touches the main file, and its stamp shows other programs' writes
        if version != VERSION or not _has_salt(self.db):
            self._migrate(version)

    def _refuse_other_database(self, version: int) -> None:
        tables = {row[0] for row in self.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if (tables or 0 < version <= VERSION) and (not version or not {"meta", "jobs"} <= tables):
            raise JournalError(
                f"the journal {self.path} cannot be used: it is another program's database", advice="Name another file."
            )
        if version > VERSION:
            raise JournalError(f"{self.path} was made by a newer version of this program ({version}, known: {VERSION})")

    def _migrate(self, version: int) -> None:
        """Write schema, version and salt in one transaction: after a crash in between, the file is as it was."""
        self.db.execute("BEGIN IMMEDIATE")
        for statement in statements_to_newest(version):
            self.db.execute(statement)
        if not _has_salt(self.db):
            self.db.execute("INSERT INTO meta VALUES ('salt', ?)", (secrets.token_bytes(16),))
        self.db.execute(f"PRAGMA user_version = {VERSION}")
        self.db.execute("COMMIT")

    def close(self) -> None:
        """Copy the write-ahead log into the file, release the lease, and close the file."""
        with suppress(sqlite3.Error):
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.lease.release()
        self.db.close()

    # --- while it is open --------------------------------------------------------------------------------------------

    def roll_back(self) -> None:
        """Undo an open transaction."""
        with suppress(sqlite3.Error):
            self.db.rollback()

    def copy_log(self) -> None:
        """Copy the write-ahead log into the file, unless a reader is in the way: a plain copy of it then has all."""
        with suppress(sqlite3.Error, OSError):
            if self._lost is None and self._is_same_file():
                self.db.execute("PRAGMA wal_checkpoint(PASSIVE)")
                self._stamp = self._size_and_time()
                self._tasks = max(self._tasks, _count_tasks(self.db))

    def lost(self) -> JournalError | None:
        """Return an error if the path no longer leads to the file that was opened, with what it held; None if it does.

        What the file says of a key may be wrong then, so nothing may be bought by it. What has happened already is
        written all the same, into a rescue file.

        :raises JournalError: the rescue file could not be written either.
        """
        if self._lost is None and not self._is_same_file():
            self._lost = self._rescue()
        if self._lost is not None and not self._rescued:
            raise self._lost.fresh()
        return self._lost

    def _is_same_file(self) -> bool:
        if self._inodes() != self._files:
            return False
        stamp = self._size_and_time()
        # The main file was written by another session's copying of the log, or by another program: a restored backup,
        # say. An emptied file is not opened to find out (see `_inodes`): SQLite would remove its log.
        if stamp != self._stamp:
            if not self._has_all_tasks():
                return False
            self._stamp = stamp
        return True

    def _has_all_tasks(self) -> bool:
        """Return whether the file has at least as many tasks as before; read anew, past this connection's cache."""
        try:
            with closing(sqlite3.connect(self.path)) as other:
                return _count_tasks(other) >= self._tasks
        except sqlite3.DatabaseError as error:
            if is_transient(error):
                raise
            return False

    def _rescue(self) -> JournalError:
        """Copy what this session knows into a rescue file, and go on writing there."""
        kept = self._beside(f"kept-{self.lease.name}")
        lost = JournalError(f"the journal {self.path} was deleted or replaced while this session used it")
        try:
            os.close(os.open(kept, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            self.db = _copy_to(self.db, kept)
        except (sqlite3.Error, OSError) as error:
            lost.advice = f"Nothing more is submitted, and what this session knows could not be kept: {error}."
        else:
            self._rescued = True
            lost.advice = f"Nothing more is submitted; what runs goes on. {_how_to_restore(kept, self.path)}"
        return lost

    def _inodes(self) -> dict[str, int | None]:
        """Return which files the names lead to; an emptied journal is none: opened, it would lose its log, too."""
        found = {suffix: _inode(self.path.with_name(self.path.name + suffix)) for suffix in ("-wal", "-shm")}
        return {"": _inode(self.path, empty=False), **found}

    def _size_and_time(self) -> tuple[int, int]:
        stat = self.path.stat()
        return stat.st_size, stat.st_mtime_ns

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{suffix}")


def backup(path: Path, to: Path) -> None:
    """Copy a journal into one whole file, while sessions may use it. Blocks, and needs no session.

    :param to: created; an earlier copy of a journal there is replaced, any other file is not.
    :raises JournalError: there is no journal at *path*, *to* is that journal, or the copy cannot be written.
    """
    part = to.with_name(f"{to.name}.part")
    try:
        _refuse_other_file(path)
        if to.exists():
            _refuse_itself(path, to)
            _refuse_other_file(to)
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as source:
            _copy_to(source, part).close()
        part.replace(to)
    except (sqlite3.Error, OSError) as error:
        why = getattr(error, "strerror", None) or message_of(error)
        message = f"the journal {path} cannot be copied to {to}: {why}"
        raise JournalError(message, advice="Name another file.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _refuse_itself(path: Path, to: Path) -> None:
    """Refuse a copy over its own source: every session that uses the file would find it replaced, and stop buying."""
    if to.samefile(path):
        raise JournalError(f"{to} is the journal itself, and cannot be its own copy", advice="Name another file.")


def _refuse_other_file(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as found:
            ours = _has_salt(found)
    except sqlite3.Error as error:
        raise JournalError(f"{path} is no journal: {message_of(error)}", advice="Name another file.") from error
    if not ours:
        raise JournalError(f"{path} is no journal", advice="Name another file.")


def _copy_to(source: sqlite3.Connection, to: Path) -> sqlite3.Connection:
    """Copy a database into one file without a log beside it, which can be moved any time; return a connection to it."""
    copy = sqlite3.connect(to, timeout=_BUSY_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()
        copy.execute("PRAGMA synchronous = FULL")
    except BaseException:
        copy.close()
        raise
    return copy


def _has_salt(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM meta WHERE name = 'salt'").fetchone() is not None


def _count_tasks(db: sqlite3.Connection) -> int:
    """Return how many tasks a file knows of; no session ever makes them fewer."""
    known: int = db.execute("SELECT count(task_id) FROM jobs").fetchone()[0]
    return known


def _inode(path: Path, *, empty: bool = True) -> int | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino if stat.st_size or empty else None


def _escape_glob(name: str) -> str:
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)


def _how_to_restore(kept: Path, path: Path) -> str:
    return (
        f"If {kept} is the right one, put it back when no session runs (rm -f '{path}-wal' '{path}-shm'; "
        f"mv '{kept}' '{path}'); else delete it."
    )
