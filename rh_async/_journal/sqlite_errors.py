"""Sorts SQLite's errors: which pass by themselves, which concern the file and not one change; and describes them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from rh_async._media.file_io import is_shortage
from rh_async.errors import JournalError, OutOfResources, ValidationError

_TRANSIENT = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM})
"""Another process holds the lock, or this one has no descriptor or memory left to open a file with."""
_OF_THE_FILE = _TRANSIENT | {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_INTERRUPT,
}
"""What is wrong with the file, not with one change."""


def is_transient(error: BaseException) -> bool:
    """Return whether the same attempt may succeed a little later."""
    return is_shortage(error) or _code(error) in _TRANSIENT


def concerns_file(error: BaseException) -> bool:
    """Return whether an error concerns the file, so that no other change can be made durable either."""
    return is_shortage(error) or _code(error) in _OF_THE_FILE


def describe(error: Exception, path: Path) -> JournalError | ValidationError:
    """Return the error that a caller gets, with *error* as its cause; one of the package's own stays as it is."""
    if isinstance(error, JournalError | ValidationError):
        return error
    described = JournalError(f"the journal {path} cannot be used: {message_of(error)}")
    if _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        described.advice = "Another process holds its lock, perhaps a backup: try again when that is done."
    elif is_shortage(error):
        described.advice = OutOfResources.advice
    described.__cause__ = error
    return described


def message_of(error: Exception) -> str:
    """Return an error's message, for the end of a sentence."""
    if _code(error) == sqlite3.SQLITE_NOTADB:
        return "it is a file of another kind, and no database"
    return str(error) if isinstance(error, sqlite3.Error | OSError) else repr(error)


def _code(error: BaseException) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF  # the low byte: above it stands the extended code
