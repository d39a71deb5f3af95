"""The journal's tables, their migrations, and how a record is written as a row. The read-only `reader` uses it, too.

Columns keep the names they were made with: a journal that any earlier version wrote must open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .records import SubmissionRecord, SubmissionState, read_folder, stored_folder

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE jobs (
    site TEXT NOT NULL, key TEXT NOT NULL, attempt INTEGER NOT NULL, fingerprint TEXT NOT NULL,
    state TEXT NOT NULL, owner TEXT NOT NULL, endpoint TEXT NOT NULL, inputs TEXT NOT NULL, nonce TEXT NOT NULL,
    task_id TEXT, claimed_utc TEXT NOT NULL, submitted_utc TEXT, noticed_utc TEXT, raw BLOB NOT NULL,
    error TEXT, folder TEXT, paths TEXT NOT NULL, driving REAL,
    contents TEXT NOT NULL DEFAULT '', status TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (site, key, attempt), UNIQUE (site, task_id)
) STRICT;
CREATE INDEX jobs_by_state ON jobs (site, state);
CREATE INDEX jobs_by_nonce ON jobs (site, nonce);
CREATE TABLE uploads (
    site TEXT NOT NULL, fingerprint TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    file_name TEXT NOT NULL, url TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (site, fingerprint, sha256, size)
) STRICT;
"""
"""The tables of a new journal, of the newest version."""

MIGRATIONS: Sequence[str] = [
    # 1 to 2
    "ALTER TABLE jobs ADD COLUMN driving REAL;",
    # 2 to 3. What was lost counted as settled there, and was never asked about again.
    """
    ALTER TABLE jobs ADD COLUMN contents TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN status TEXT NOT NULL DEFAULT '';
    UPDATE jobs SET state = 'lost' WHERE state = 'settled' AND error LIKE '["JobLost"%';
    """,
]
"""What brings a journal from version 1 to the newest, a version a step. A new step goes to the end, and into SCHEMA."""

VERSION = len(MIGRATIONS) + 1
"""The version of the tables, in ``PRAGMA user_version``."""

COLUMNS = (
    *("key", "attempt", "state", "owner", "endpoint", "inputs", "nonce", "task_id", "claimed_utc", "submitted_utc"),
    *("noticed_utc", "raw", "error", "folder", "paths", "driving", "contents", "status"),
)
"""The columns of ``jobs`` that make up a record. Besides them there are ``site`` and ``fingerprint``."""

_FIELDS = {"nonce": "webhook_token"}  # fields that were renamed after their column was made


def statements_to_newest(version: int) -> list[str]:
    """Return the statements that a journal of some version still needs; 0 for an empty file.

    One by one: `sqlite3.Connection.executescript` would commit the transaction they must share.
    """
    script = "".join(MIGRATIONS[version - 1 :]) if version else SCHEMA
    return [statement for statement in script.split(";") if statement.strip()]


def row_from(record: SubmissionRecord) -> tuple[Any, ...]:
    """Return a record's values in the order of COLUMNS."""
    values = {name: getattr(record, _FIELDS.get(name, name)) for name in COLUMNS}
    values["error"] = None if record.error is None else json.dumps(record.error)
    values["folder"] = stored_folder(record.folder)
    values["paths"] = json.dumps(record.paths)
    return tuple(values.values())


def record_from(row: Mapping[str, Any], *, foreign: bool = False) -> SubmissionRecord:
    """Return the record of a row, by column; columns that its journal's version lacked have their default.

    :param foreign: whether its fingerprint is another API key's.
    """
    facts = {_FIELDS.get(name, name): row[name] for name in COLUMNS if name in row}
    facts["state"] = SubmissionState(facts["state"])
    facts["error"] = None if facts["error"] is None else tuple(json.loads(facts["error"]))
    facts["folder"] = read_folder(facts["folder"])
    facts["paths"] = tuple(json.loads(facts["paths"]))
    return SubmissionRecord(**facts, foreign=foreign)
