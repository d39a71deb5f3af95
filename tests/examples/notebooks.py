"""Read and run a notebook without a notebook server."""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path
from typing import Any


def cells_of(notebook: Path) -> list[str]:
    """Return the source of each cell of code."""
    cells = json.loads(notebook.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


async def run_cell(source: str, names: dict[str, Any]) -> None:
    """Run a cell as a notebook does: inside the running loop, where it may await at its top level."""
    code = compile(source, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)  # noqa: S307 - our own notebook
    if inspect.isawaitable(result):
        await result
