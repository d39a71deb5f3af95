"""The captured and documented bodies of ``tests/fixtures``, as bytes, values and answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rh_async._api.wire import ApiResponse

FOLDER = Path(__file__).parent.parent / "fixtures"
INDEX: dict[str, dict[str, Any]] = {
    entry["file"]: entry for entry in json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
}


def value_of(file: str) -> dict[str, Any]:
    """Read a fixture as the JSON object it is."""
    value: dict[str, Any] = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    return value


def answer_of(file: str) -> ApiResponse:
    """Read a fixture as the server's answer, with the HTTP status it came with."""
    return ApiResponse(status=INDEX[file]["http_status"], body=(FOLDER / file).read_bytes())


def answer(body: object, status: int = 200, *, retry_after: float | None = None) -> ApiResponse:
    """Make an answer: bytes as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ApiResponse(status=status, body=raw, retry_after=retry_after)
