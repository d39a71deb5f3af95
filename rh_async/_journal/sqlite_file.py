"""The journal's SQLite file: made, recognised, kept whole, copied; whatever is wrong with it is told truthfully.

Everything here blocks, and runs on the journal's thread. No descriptor of the file is ever opened beside SQLite's own:
closing it would drop SQLite's locks, which POSIX keeps per process and file.
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
    _stamp: tuple[int, int] = field(default=(0, 0), init=False)
    _bought: int = field(default=0, init=False)
    _lost: JournalError | None = field(default=None, init=False)
    _kept: bool = field(default=False, init=False)

    # --- opening and closing -----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the file, made if missing, and show a sign of life beside it.

        :raises JournalError: it is no journal, newer than this program, corrupt, in use under another file's name, or
            cannot be written.
        """
        try:
            with locked(self._beside("lock")):  # six at once met "database is locked"
                self._refuse_what_is_no_file()
                self._refuse_what_was_exchanged()
                self._make()
                self._connect()
        except (sqlite3.Error, OSError) as error:
            raise describe(error, self.path) from error

    def _refuse_what_is_no_file(self) -> None:
        if self.path.is_dir():
            raise JournalError(
                f"the journal {self.path} cannot be used: it is a directory", advice="Name a file in it, or another."
            )

    def _refuse_what_was_exchanged(self) -> None:
        """Buy nothing while another copy of the journal knows of submissions that this one may not know of."""
        for kept in self.path.parent.glob(f"{_escaped(self.path.name)}.kept-*"):
            raise JournalError(
                f"{kept} holds what a session knew when its journal {self.path} was deleted or replaced",
                advice=_put_back(kept, self.path),
            )
        for other in self.lease.others():
            if other.files and other.files.get("") != self._inodes().get(""):
                raise JournalError(
                    f"the journal {self.path} was deleted or replaced while process {other.pid} works with it",
                    advice="Let that process end, or stop it; then see what it says of its journal.",
                )

    def _make(self) -> None:
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _connect(self) -> None:
        self.db = sqlite3.connect(self.path, timeout=_OPENING_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
            self.salt = self.db.execute("SELECT value FROM meta WHERE name = 'salt'").fetchone()[0]
            self._bought = _bought(self.db)
            self._files, self._stamp = self._inodes(), self._main_stamp()
            self.lease.acquire(self._files)
        except BaseException:
            self.db.close()
            raise
        self.db.execute(f"PRAGMA busy_timeout = {_BUSY_PATIENCE * 1000:.0f}")

    def _prepare(self) -> None:
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        self._refuse_what_is_not_ours(version)
        if self.db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            self.db.execute("PRAGMA journal_mode = WAL").fetchone()
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.execute("PRAGMA wal_autocheckpoint = 0")  # a commit never touches the file itself: see `_still_there`
        if version != VERSION or not _salted(self.db):
            self._bring_up_to_date(version)

    def _refuse_what_is_not_ours(self, version: int) -> None:
        tables = {row[0] for row in self.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if (tables or 0 < version <= VERSION) and (not version or not {"meta", "jobs"} <= tables):
            raise JournalError(
                f"the journal {self.path} cannot be used: it is another program's database", advice="Name another file."
            )
        if version > VERSION:
            raise JournalError(f"{self.path} was made by a newer version of this program ({version}, known: {VERSION})")

    def _bring_up_to_date(self, version: int) -> None:
        """Schema, version and salt in one transaction: killed in between, the file is as it was."""
        self.db.execute("BEGIN IMMEDIATE")
        for statement in statements_to_newest(version):
            self.db.execute(statement)
        if not _salted(self.db):
            self.db.execute("INSERT INTO meta VALUES ('salt', ?)", (secrets.token_bytes(16),))
        self.db.execute(f"PRAGMA user_version = {VERSION}")
        self.db.execute("COMMIT")

    def close(self) -> None:
        """Leave everything in the file itself, and be gone."""
        with suppress(sqlite3.Error):
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.lease.release()
        self.db.close()

    # --- while it is open --------------------------------------------------------------------------------------------

    def roll_back(self) -> None:
        """Take an open transaction back."""
        with suppress(sqlite3.Error):
            self.db.rollback()

    def copy_log(self) -> None:
        """Copy the write-ahead log into the file, as far as that disturbs nobody: a copy of the file then has all."""
        with suppress(sqlite3.Error, OSError):
            if self._lost is None and self._still_there():
                self.db.execute("PRAGMA wal_checkpoint(PASSIVE)")
                self._stamp = self._main_stamp()
                self._bought = max(self._bought, _bought(self.db))

    def lost(self) -> JournalError | None:
        """What is wrong if the name no longer leads to the file that was opened, with what it held; None if it does.

        What it says of a key may be wrong then: nothing may be bought by it. What has happened is written all the same,
        into a file of its own.

        :raises JournalError: there is no such file either.
        """
        if self._lost is None and not self._still_there():
            self._lost = self._move_out()
        if self._lost is not None and not self._kept:
            raise self._lost.fresh()
        return self._lost

    def _still_there(self) -> bool:
        if self._inodes() != self._files:
            return False
        stamp = self._main_stamp()
        # Somebody may have copied another file into this one. To open an emptied one would remove its log.
        if stamp != self._stamp:  # or another session has copied its log into it
            if not self._holds_what_it_held():
                return False
            self._stamp = stamp
        return True

    def _holds_what_it_held(self) -> bool:
        """Whether the file has no fewer tasks than it had, read past everything this connection remembers of it."""
        try:
            with closing(sqlite3.connect(self.path)) as other:
                return _bought(other) >= self._bought
        except sqlite3.DatabaseError as error:
            if is_transient(error):
                raise
            return False

    def _move_out(self) -> JournalError:
        """Keep what this session knows in a file of its own, which takes what is still to be written."""
        kept = self._beside(f"kept-{self.lease.name}")
        lost = JournalError(f"the journal {self.path} was deleted or replaced while this session used it")
        try:
            os.close(os.open(kept, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            self.db = _copied(self.db, kept)
        except (sqlite3.Error, OSError) as error:
            lost.advice = f"Nothing more is submitted, and what this session knows could not be kept: {error}."
        else:
            self._kept = True
            lost.advice = f"Nothing more is submitted; what runs goes on. {_put_back(kept, self.path)}"
        return lost

    def _inodes(self) -> dict[str, int | None]:
        """Which files the names lead to now; an emptied journal is none: opened, it would lose its log, too."""
        found = {suffix: _inode(self.path.with_name(self.path.name + suffix)) for suffix in ("-wal", "-shm")}
        return {"": _inode(self.path, empty=False), **found}

    def _main_stamp(self) -> tuple[int, int]:
        facts = self.path.stat()
        return facts.st_size, facts.st_mtime_ns

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{suffix}")


def backup(path: Path, to: Path) -> None:
    """Copy a journal into one whole file, while sessions may use it; blocks, and needs no session.

    :param to: made anew; an earlier copy of a journal there is replaced, any other file is not.
    :raises JournalError: there is no journal at *path*, *to* is that journal, or the copy cannot be written.
    """
    part = to.with_name(f"{to.name}.part")
    try:
        _refuse_no_journal(path)
        if to.exists():
            _refuse_the_same(path, to)
            _refuse_no_journal(to)
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as source:
            _copied(source, part).close()
        part.replace(to)
    except (sqlite3.Error, OSError) as error:
        why = getattr(error, "strerror", None) or message_of(error)
        words = f"the journal {path} cannot be copied to {to}: {why}"
        raise JournalError(words, advice="Name another file.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _refuse_the_same(path: Path, to: Path) -> None:
    """A copy over its own source would take the file from under every session that uses it: they would buy no more."""
    if to.samefile(path):
        raise JournalError(f"{to} is the journal itself, and cannot be its own copy", advice="Name another file.")


def _refuse_no_journal(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as found:
            ours = _salted(found)
    except sqlite3.Error as error:
        raise JournalError(f"{path} is no journal: {message_of(error)}", advice="Name another file.") from error
    if not ours:
        raise JournalError(f"{path} is no journal", advice="Name another file.")


def _copied(source: sqlite3.Connection, to: Path) -> sqlite3.Connection:
    """A connection to a copy that is one file: without a write-ahead log beside it, it can be moved at any time."""
    copy = sqlite3.connect(to, timeout=_BUSY_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()
        copy.execute("PRAGMA synchronous = FULL")
    except BaseException:
        copy.close()
        raise
    return copy


def _salted(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM meta WHERE name = 'salt'").fetchone() is not None


def _bought(db: sqlite3.Connection) -> int:
    """How many tasks a file knows of; no session ever makes them fewer."""
    known: int = db.execute("SELECT count(task_id) FROM jobs").fetchone()[0]
    return known


def _inode(path: Path, *, empty: bool = True) -> int | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_ino if facts.st_size or empty else None


def _escaped(name: str) -> str:
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)


def _put_back(kept: Path, path: Path) -> str:
    return (
        f"If {kept} is the right one, put it back when no session runs (rm -f '{path}-wal' '{path}-shm'; "
        f"mv '{kept}' '{path}'); else delete it."
    )
