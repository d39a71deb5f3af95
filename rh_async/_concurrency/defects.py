"""Turns an unexpected exception into an error of this package, and logs where it came from.

It is used only where a defect about one job, or in one caller's code, must not end the whole session.
"""

from __future__ import annotations

import logging

from rh_async.errors import UnexpectedError

log = logging.getLogger(__name__)


def unexpected(defect: Exception) -> UnexpectedError:
    """Wrap an unexpected exception; it becomes the error's cause, and its traceback is logged."""
    log.error("rh_async.unexpected %r", defect, exc_info=defect)
    error = UnexpectedError(f"unexpected error: {defect!r}")
    error.__cause__ = defect
    return error
