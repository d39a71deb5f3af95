"""Compare text with a golden file, or write the file anew."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

GOLDEN = Path(__file__).with_name("golden")
FROZEN = GOLDEN / "frozen"  #: files of an older version, which are read and never written anew
WRITE = "GOLDEN=write pytest -n0 tests/guards"


def compare(name: str, text: str) -> None:
    """Fail with a line diff unless a golden file holds exactly this text; with ``GOLDEN=write``, write it instead.

    :param name: of the file, below the folder of golden files.
    """
    path, text = GOLDEN / name, text.replace("\r\n", "\n").rstrip("\n") + "\n"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    golden = path.read_text(encoding="utf-8") if path.exists() else ""
    if text != golden:
        lines = difflib.unified_diff(golden.splitlines(), text.splitlines(), f"golden/{name}", "now", lineterm="", n=1)
        words = f"{name} differs from what is there now. If that is meant, run: {WRITE}\n"
        raise AssertionError(words + "\n".join(lines))


def compare_folder(folder: str, texts: Mapping[str, str]) -> None:
    """Compare each text with the ``.txt`` file of its name; a file without a text fails, or is removed."""
    for name, text in texts.items():
        compare(f"{folder}/{name}.txt", text)
    left = {path for path in (GOLDEN / folder).glob("*.txt") if path.stem not in texts}
    if os.environ.get("GOLDEN") == "write":
        for path in left:
            path.unlink()
    elif left:
        raise AssertionError(
            f"nothing is there any more for {', '.join(map(str, left))}. If that is meant, run: {WRITE}"
        )
