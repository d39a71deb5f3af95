"""Turns an exception that nobody foresaw into an error of this package, and logs where it came from.

It is used only where one job's, or one caller's, defect must not become everybody's.
"""

from __future__ import annotations

import logging

from rh_async.errors import UnexpectedError

log = logging.getLogger(__name__)


def unexpected(defect: Exception) -> UnexpectedError:
    """What an unforeseen exception is called; it is the error's cause, and its traceback is in the log."""
    log.error("rh_async.unexpected %r", defect, exc_info=defect)
    error = UnexpectedError(f"something nobody foresaw went wrong: {defect!r}")
    error.__cause__ = defect
    return error
