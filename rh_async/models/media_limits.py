"""Defines what a model takes in its media fields, and which local file stands in a field."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen


@frozen(kw_only=True)
class MediaLimits:
    """Describe what a model takes in one media field, as documented; None where the documents say nothing.

    :param kinds: the kinds of file, by content, lower case.
    :param max_mb: refused above, in MB of 1024 × 1024 bytes.
    :param doubtful_mb: a limit the documents contradict: warned above, never refused.
    :param px: least and greatest width and height.
    :param box: least and greatest (long, short) side, whichever way the picture is turned.
    :param aspect: least and greatest width ÷ height.
    :param seconds: least and greatest duration.
    :param seconds_reason: the option that makes the duration shorter than the model's own limit; "" where none does.
    """

    kinds: tuple[str, ...]
    max_mb: float | None = None
    warn_mb: float | None = None
    px: tuple[int, int] | None = None
    box: tuple[tuple[int, int], tuple[int, int]] | None = None
    aspect: tuple[float, float] | None = None
    seconds: tuple[float, float] | None = None
    seconds_reason: str = field(default="", eq=False)


@frozen
class MediaFile:
    """Name a local file that a field of a request needs."""

    path: Path
    field: str
    limits: MediaLimits | None = None
