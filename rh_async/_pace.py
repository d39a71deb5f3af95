"""How eagerly to ask: what a caller can say about it, as one value that the timetable obeys."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen
from attrs.validators import ge, gt

_USUAL_WORTH: Final = 260.0  # questions per second of lateness, at an interval of one second


@frozen(kw_only=True)
class Pace:
    """How eagerly to ask. All durations are seconds.

    :param interval: about how far apart questions about one job are while it is likely to end: a usual one, of three
        minutes, is noticed half of it late on average; where the account's counts can be read, earlier.
    :param questions_per_second: about all jobs together; the gaps stretch alike to meet it.
    :param open_questions: how many may await an answer at once.
    :param ceiling: the longest wait for a job, unless there are more jobs than questions in it.
    :param newborn: how long after its acceptance "no such task" is not believed (contract 4.3).
    :param results_within: how long after success its results may be missing.
    :param horizon: when a job that never settles is given up; links die then too (contract 4.5).
    :param counts: whether the account's own counts may hint at ends (contract 9).
    """

    interval: float = field(default=5.0, validator=gt(0))
    questions_per_second: float = field(default=20.0, validator=gt(0))
    open_questions: int = field(default=8, validator=ge(1))
    ceiling: float = field(default=60.0, validator=gt(0))
    newborn: float = field(default=60.0, validator=ge(0))
    results_within: float = field(default=60.0, validator=ge(0))
    horizon: float = field(default=86400.0, validator=gt(0))
    counts: bool = True

    @property
    def spacing(self) -> float:
        """Between any two questions, on average."""
        return 1.0 / self.questions_per_second

    @property
    def worth(self) -> float:
        """How many questions a second of lateness is worth; ten, at the usual interval."""
        return _USUAL_WORTH / self.interval**2

    def after(self, failures: int) -> float:
        """The wait before a job is asked about again, after so many unanswered questions in a row."""
        longest = max(self.interval, self.ceiling)
        return min(self.interval * 2.0 ** min(failures, 32), longest)
