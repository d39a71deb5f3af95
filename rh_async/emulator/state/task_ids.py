"""Where task ids begin: they are snowflakes, which hold the time they were drawn at (contract 3.1)."""

from __future__ import annotations

FIRST_ID = 2_013_508_786_110_730_241  #: where the fixtures' ids are
_EPOCH = 1_288_834_974.657  #: seconds; the recorded ids fit the dates of their records by it
_PER_MILLISECOND = 1 << 22


def snowflake_at(now: float) -> int:
    """Return a number that every id drawn before this moment is below, as long as a millisecond yields one.

    :param now: seconds since 1970.
    """
    return int((now - _EPOCH) * 1000) * _PER_MILLISECOND
