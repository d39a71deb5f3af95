"""Puts an output that is on disk already under another name: as a hard link, else as a copy. Blocks.

A hard link shares its content with the other name. That is safe here: whatever writes an output writes a ``.part`` file
and renames it, so a later overwrite replaces one name and never changes what the other one shows.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4


def put_all(sources: Sequence[Path], targets: Sequence[Path]) -> None:
    """Put each source under its target's name; a target that is there already is left as it is.

    :raises OSError: the disk refused.
    """
    for source, target in zip(sources, targets, strict=True):
        if not target.exists():
            _put(source, target)


def same(one: Path, other: Path) -> bool:
    """Whether two names show the same file."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def _put(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        return  # another run was faster
    except OSError:  # another disk, or a file system without hard links
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
    try:
        shutil.copyfile(source, part)
        with part.open("rb+") as copied:
            os.fsync(copied.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
