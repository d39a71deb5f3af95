"""What a download may be like: how slow, how large. Pure."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, gt


@frozen(kw_only=True)
class DownloadPolicy:
    """What outputs may be fetched, and how long a slow server is borne.

    :param least_rate: bytes a second. A download that brings less, over ``over`` seconds, is given up for now, so that
        others are saved meanwhile, and tried again as `Retry` says, each time with half the demand: a slow line gets
        its file in the end. 0 bears any.
    :param over: seconds.
    :param largest: bytes of one output; a larger one is refused.
    """

    least_rate: float = field(default=10_000.0, validator=ge(0))
    over: float = field(default=60.0, validator=gt(0))
    largest: int = field(default=4 * 1024**3, validator=gt(0))
