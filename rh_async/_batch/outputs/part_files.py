"""Removes the hidden ``.part`` files that killed commands left in an output folder. Blocks."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from pathlib import Path

from rh_async._journal.lease import in_use

log = logging.getLogger(__name__)

_OURS = re.compile(r"\..+\.([0-9a-f]{12}-\d+|[0-9a-f]{8})\.part", re.DOTALL)
"""A download's part ends in its session's name and a number, that of a file written at once in eight digits."""


def remove_part_files(folder: Path, *, before: float) -> None:
    """Remove what is ours, was last written before a moment, and is open in no process.

    :param before: in seconds, as file times are.
    """
    with suppress(OSError), os.scandir(folder) as found:
        parts = [Path(one.path) for one in found if _OURS.fullmatch(one.name) and one.is_file(follow_symlinks=False)]
        for part in parts:
            with suppress(OSError):  # whoever else removes it meanwhile is as good
                if part.stat().st_mtime < before and not in_use(part):
                    part.unlink()
                    log.info("rh_async.leftover_removed %s", part)
