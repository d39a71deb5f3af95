"""Writes the sidecar of an output: the ``.json`` file beside it, enough to repeat the job and to account for it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from attrs import asdict

from rh_async._batch.planning.plan import Entry
from rh_async._batch.recorded_outputs.sidecar_reader import sidecar_path
from rh_async._batch.session_port import PriorAttempt
from rh_async.models.base import Request, short_repr
from rh_async.types import Result, Upload


def sidecar_metadata(entry: Entry, past: PriorAttempt, result: Result, paths: tuple[Path, ...]) -> dict[str, Any]:
    """Describe what made these outputs."""
    request, price = entry.request, entry.price
    return {
        "number": entry.number,
        "origin": entry.origin,
        "task_id": result.task_id,
        "key": past.key,
        "notes": dict(entry.extra_columns),
        "model": None if request is None else request.endpoint,
        "request": request_metadata(request),
        "sources": {str(path): sha256 for path, sha256 in past.sha256s.items()},
        "usage": asdict(result.usage),
        "list_price": None if price is None else {"amount": price.amount, "currency": price.currency},
        "submitted_utc": result.submitted_utc,
        "noticed_utc": result.noticed_utc,
        "seconds": run_seconds(result),
        "outputs": [path.name for path in paths],
    }


def request_metadata(request: Request | None) -> dict[str, Any]:
    """Describe a request by its parameters; embedded files are shortened."""
    parameters = {} if request is None else request.parameters()
    return {name: _shortened(value) for name, value in parameters.items()}


def _shortened(value: object) -> object:
    return short_repr(value) if isinstance(value, str) and value.startswith("data:") else value


def run_seconds(result: Result) -> float | None:
    """Return the seconds from the job's acceptance until its end was noticed; None if the former is unknown."""
    return None if result.submitted_utc is None else (result.noticed_utc - result.submitted_utc).total_seconds()


def write_sidecars(paths: tuple[Path, ...], metadata: Mapping[str, Any]) -> None:
    """Write the sidecar beside each output, with the sizes of all. Blocks.

    The sizes let a later run detect an output that was cut short after it had been saved.

    :raises OSError: the disk refused.
    """
    values = {**metadata, "bytes": [path.stat().st_size for path in paths]}
    for path in paths:
        _write(sidecar_path(path), to_json(values, indent=2) + "\n")


def to_json(value: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Convert to JSON in ASCII, which can hold every file name, also one that is not UTF-8."""
    return json.dumps(value, default=_plain, indent=indent)


def _plain(value: object) -> object:
    if isinstance(value, Upload):
        return value.file_name or value.sha256
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _write(path: Path, text: str) -> None:
    """Write a file so that it appears complete or not at all, also if the power fails."""
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        with part.open("w", encoding="ascii") as sink:
            sink.write(text)
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
