"""Gives an output that is on disk a second name: as a hard link, else as a copy. Blocks.

A hard link shares its content with the other name. That is safe here: outputs are written to a ``.part`` file and
renamed, so a later overwrite replaces one name and never changes the content under the other.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4


def link_or_copy_all(sources: Sequence[Path], targets: Sequence[Path]) -> None:
    """Link or copy each source to its target; a target that exists is left as it is.

    :raises OSError: the disk refused.
    """
    for source, target in zip(sources, targets, strict=True):
        if not target.exists():
            _link_or_copy(source, target)


def is_same_file(one: Path, other: Path) -> bool:
    """Return whether two names lead to the same file."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        return  # another run was faster
    except OSError:  # another disk, or a file system without hard links
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    """Copy a file so that the target appears complete or not at all, also if the power fails."""
    part = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
    try:
        shutil.copyfile(source, part)
        with part.open("rb+") as copied:
            os.fsync(copied.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
