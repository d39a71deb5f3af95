"""Removes the hidden ``.part`` files that killed commands left in an output folder. Blocks."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from pathlib import Path

from rh_async._journal.lease import in_use

log = logging.getLogger(__name__)

_PART_NAME = re.compile(r"\..+\.([0-9a-f]{12}-\d+|[0-9a-f]{8})\.part", re.DOTALL)
"""A download's part file ends in its session's name and a number, one that is written at once in eight hex digits."""


def remove_part_files(folder: Path, *, before: float) -> None:
    """Remove part files that were last written before a time, and are open in no process.

    :param before: in seconds, as file times are.
    """
    with suppress(OSError), os.scandir(folder) as found:
        files = [file for file in found if _PART_NAME.fullmatch(file.name) and file.is_file(follow_symlinks=False)]
        for part in (Path(file.path) for file in files):
            with suppress(OSError):  # another run may remove the same file meanwhile
                if part.stat().st_mtime < before and not in_use(part):
                    part.unlink()
                    log.info("rh_async.part_file_removed %s", part)
