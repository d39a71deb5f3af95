"""Limits of a download: how slow, how large. Pure."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, gt


@frozen(kw_only=True)
class DownloadPolicy:
    """Which outputs may be fetched, and how long a slow server is tolerated.

    :param min_rate: bytes per second. A download that brings less over ``rate_window`` seconds is stopped, so that
        other outputs are saved meanwhile, and retried as `RetryPolicy` says, each time with half the rate required: a
        slow line gets its file in the end. 0 tolerates any rate.
    :param rate_window: seconds over which the rate is measured.
    :param max_bytes: size of the largest output; a larger one is refused.
    """

    min_rate: float = field(default=10_000.0, validator=ge(0))
    rate_window: float = field(default=60.0, validator=gt(0))
    max_bytes: int = field(default=4 * 1024**3, validator=gt(0))
