"""Computes where task ids start; they are snowflakes, which contain the time of their creation (contract 3.1)."""

from __future__ import annotations

FIRST_TASK_ID = 2_013_508_786_110_730_241  #: the id of the recorded response in contract 3.1
_EPOCH = 1_288_834_974.657  #: in Unix seconds; with it, recorded ids match the dates of their recordings
_IDS_PER_MILLISECOND = 1 << 22


def snowflake_at(unix_time: float) -> int:
    """Return an id above every id drawn before a moment, as long as there is at most one id per millisecond.

    :param unix_time: the moment, in seconds since 1970.
    """
    return int((unix_time - _EPOCH) * 1000) * _IDS_PER_MILLISECOND
