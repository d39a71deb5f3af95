"""Writes the ``.json`` beside an output: what made it, enough to make it again and to account for it."""

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
from rh_async._batch.running.session_port import PriorAttempt
from rh_async.models.base import Request, short_repr
from rh_async.models.prices import Price
from rh_async.types import Result, Upload


def story(entry: Entry, past: PriorAttempt, result: Result, paths: tuple[Path, ...]) -> dict[str, Any]:
    """What made these outputs: enough to make them again, and to account for them."""
    request = entry.request
    return {
        "number": entry.number,
        "origin": entry.origin,
        "task_id": result.task_id,
        "key": past.key,
        "notes": dict(entry.columns),
        "model": None if request is None else request.endpoint,
        "request": asked_for(request),
        "sources": {str(path): sha256 for path, sha256 in past.sha256s.items()},
        "usage": asdict(result.usage),
        "list_price": None if entry.price is None else _price(entry.price),
        "submitted_utc": result.submitted_utc,
        "noticed_utc": result.noticed_utc,
        "seconds": seconds_of(result),
        "outputs": [path.name for path in paths],
    }


def _price(price: Price) -> dict[str, Any]:
    return {"amount": price.amount, "currency": price.currency}


def seconds_of(result: Result) -> float | None:
    """From acceptance to notice."""
    return None if result.submitted_utc is None else (result.noticed_utc - result.submitted_utc).total_seconds()


def as_json(value: Mapping[str, Any], *, indent: int | None = None) -> str:
    """As text in ASCII, which whatever name a file has survives."""
    return json.dumps(value, default=_plain, indent=indent)


def _plain(value: object) -> object:
    if isinstance(value, Upload):
        return value.file_name or value.sha256
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def tell_beside(paths: tuple[Path, ...], facts: Mapping[str, Any]) -> None:
    """Write the story beside each output, with the sizes of all. Blocks.

    :raises OSError: the disk refused.
    """
    told = {**facts, "bytes": [path.stat().st_size for path in paths]}
    for path in paths:
        _write(sidecar_path(path), as_json(told, indent=2) + "\n")


def asked_for(request: Request | None) -> dict[str, Any]:
    """What a request asks for, as a story tells it."""
    parameters = {} if request is None else request.parameters()
    return {name: _short(value) for name, value in parameters.items()}


def _short(value: object) -> object:
    return short_repr(value) if isinstance(value, str) and value.startswith("data:") else value


def _write(path: Path, text: str) -> None:
    """Let a file appear whole or not at all."""
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        with part.open("w", encoding="ascii") as sink:
            sink.write(text)
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
