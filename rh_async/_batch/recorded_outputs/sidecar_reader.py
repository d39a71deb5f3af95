"""Reads the sidecar of an output: the ``.json`` file beside it that says which task made it. Blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def sidecar_path(path: Path) -> Path:
    """Return where the sidecar of an output is."""
    return path.with_name(f"{path.name}.json")


def read_sidecar(path: Path) -> Mapping[str, Any]:
    """Read an output's sidecar; empty where there is none that can be read.

    A sidecar that another program wrote, or that a crash left in pieces, is treated as missing: the outputs are then
    fetched once more, which costs a download and no second submit.
    """
    try:
        values = json.loads(sidecar_path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def outputs_in_sidecar(path: Path) -> tuple[Path, ...]:
    """Return all outputs of the job that made one of them, by its sidecar."""
    outputs = read_sidecar(path).get("outputs")
    names = outputs if isinstance(outputs, list) else ()
    # Of a name, its last part alone: a sidecar that was edited must not lead out of its folder.
    return tuple(path.with_name(Path(name).name) for name in names if isinstance(name, str) and Path(name).name)


def size_in_sidecar(path: Path) -> int | None:
    """Return an output's size in bytes by its sidecar; None where that does not say."""
    values = read_sidecar(path)
    outputs, sizes = values.get("outputs"), values.get("bytes")
    if not (isinstance(outputs, list) and isinstance(sizes, list) and path.name in outputs):
        return None
    size = next(iter(sizes[outputs.index(path.name) :]), None)
    return size if isinstance(size, int) else None
