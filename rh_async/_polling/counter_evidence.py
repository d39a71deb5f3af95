"""What the account's own counts hint at, and how far to trust them: one question about everybody.

While the counts do not fall, nobody has ended; when they fall by two, two have, and the likeliest are asked first. It
is a hint and never a proof: counts lag, other programs share the key, the call is refused. A hint that misleads loses
trust until nobody asks for it, and regains it slowly. Told everything, it reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf, sqrt
from typing import Final

from attrs import define, field

from rh_async.types import TaskId

from .candidate_search import Candidate, CandidateSearch

_FIRST_TRUST, _MOST_TRUST, _LEAST_TRUST, _NEXT_TRUST = 0.8, 0.98, 0.4, 0.5
_GAIN, _LOSS = 0.15, 0.25
_FIRST_DOUBT, _LONGEST_DOUBT = 300.0, 3600.0  # seconds without asking for the counts
_LATER: Final = 60.0  # seconds until counts that were no use, or not answered, are looked at again
_SHORTEST: Final = 0.5  # seconds between two looks at the counts
_AHEAD: Final = 3  # questions beyond one for each that is missing: answers are on their way for a while
_FIRST_SHARE: Final = 0.2  # of all jobs, asked until one that has ended is found
_FORGETTING: Final = 0.01  # of a share that searches had, with every end that nobody searched for
_PATIENCE: Final = 0.1  # of a find, in what is believed of the next


@define(eq=False, repr=False)
class CounterEvidence:
    """The counts of one account, beside the jobs that this session watches.

    :ivar ours: how many jobs this session watches.
    :ivar reliability: how likely an end is to show in the counts, as far as was seen.
    :ivar next_read_at: when to look at them again.
    :ivar resting_until: before that they are not looked at, whatever happens.
    :ivar all_running_at: when they last said that nobody had ended.
    :ivar unaccounted: how many ends they tell of that nobody has found yet.
    :ivar share: of all jobs, that is asked to find one that has ended.
    """

    ours: int = field(default=0, init=False)
    reliability: float = field(default=_FIRST_TRUST, init=False)
    next_read_at: float = field(default=-inf, init=False)
    resting_until: float = field(default=-inf, init=False)
    all_running_at: float = field(default=-inf, init=False)
    unaccounted: int = field(default=0, init=False)
    share: float = field(default=_FIRST_SHARE, init=False)
    _others: int | None = field(default=None, init=False)  #: how many more tasks the account has: other programs'
    _unread: bool = field(default=False, init=False)  #: whether the last look was not answered
    _doubt: float = field(default=_FIRST_DOUBT, init=False)
    _hunt: CandidateSearch | None = field(default=None, init=False)

    @property
    def confidence(self) -> float:
        """How likely an end is to show in the counts and to be one of ours; 0 while they are not believed."""
        believed = self.reliability * self.ours / max(self.ours + (self._others or 0), 1)
        return believed if believed >= _LEAST_TRUST and not self._unread else 0.0

    # --- the counts --------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """The counts are asked for: if they were not believed, they have another chance."""
        self._unread = False
        if self.reliability < _LEAST_TRUST:
            self.reliability, self._others, self.all_running_at = _NEXT_TRUST, None, -inf

    def counted(self, total: int, suspects: Callable[[], Iterable[Candidate]], *, now: float) -> None:
        """Take the counts.

        :param total: of the account's unsettled tasks.  :param suspects: every job that may have ended.
        """
        if self._others is None or not self.confidence or total > self.ours + self._others:
            # Where they crowd ours, whoever is gone may be theirs. Fewer than ours are not others: some of ours ended.
            self._others = max(total - self.ours, 0)
        known, self.unaccounted = self.unaccounted, self.ours + self._others - total
        if not self.unaccounted and self.confidence:
            self.all_running_at = now
        if self.unaccounted > known:
            self._hunt = CandidateSearch.among(suspects(), chance=self.confidence)
        if self.unaccounted < known:  # somebody seemed to be gone, and was not
            self._lose_trust(now)
        self._judge(now)
        if not self.confidence and self.reliability >= _LEAST_TRUST:  # too many foreign tasks for now
            self._rest(now + _LATER)

    def hasten(self, at: float) -> None:
        """Look at the counts by an instant, unless they rest."""
        self.next_read_at = max(self.resting_until, min(self.next_read_at, at))

    def unread(self, *, now: float) -> None:
        """The counts were not answered this time: until they are, they tell nothing."""
        self._unread = False
        self._rest(now + _LATER)
        self._lose_trust(now)
        self._unread = True

    def refused(self, *, now: float) -> None:
        """The counts cannot be had."""
        self.reliability = 0.0
        self._doubted(now)

    # --- the search --------------------------------------------------------------------------------------------------

    def suspect(self) -> TaskId | None:
        """Whom to ask first because of the counts; of so many missing, a few more at a time."""
        hunt = self._hunt
        return None if hunt is None or len(hunt.open) > self.unaccounted + _AHEAD else hunt.likeliest(self.unaccounted)

    def ask(self, task: TaskId) -> None:
        """A suspect is asked about."""
        if self._hunt is not None:
            self._hunt.ask(task)

    def unanswered(self, task: TaskId) -> None:
        """Nothing was learnt of a job."""
        if self._hunt is not None:
            self._hunt.open.discard(task)

    def cleared(self, task: TaskId, *, now: float) -> None:
        """A job runs, or is no longer watched."""
        if self._hunt is not None:
            self._hunt.cleared(task)
            self._judge(now)

    def found(self, task: TaskId, *, unheard: float, now: float) -> None:
        """A job has ended.

        :param unheard: how likely, by its run time alone, it already had when they last said that nobody had; 0 where
            somebody else told of its end before the counts could.
        """
        if self._hunt is None:
            self.share += _FORGETTING * (_FIRST_SHARE - self.share)  # too dear once is not too dear for ever
            self._missed(unheard, now)
        elif task in self._hunt:
            self.share += _PATIENCE * (self._hunt.asked / self.ours - self.share)
            self._hunt.found(task)
            self.unaccounted -= 1
            self.reliability += _GAIN * (_MOST_TRUST - self.reliability)
            self._doubt = _FIRST_DOUBT
            self._judge(now)

    # --- trust -------------------------------------------------------------------------------------------------------

    def _judge(self, now: float) -> None:
        """End a search that found what it looked for, or never will: then whatever is gone was not ours."""
        if self.unaccounted and self._hunt is not None and self._hunt.in_vain:
            self._others = max((self._others or 0) - self.unaccounted, 0)
            self.unaccounted = 0
            self._lose_trust(now)
        if not self.unaccounted:
            self._hunt = None

    def _missed(self, unheard: float, now: float) -> None:
        """Nothing hinted at an end: either it came after the last look, or the counts kept it quiet.

        How likely they did is what the run times say, weighed with what was believed of the counts before (Bayes).
        """
        if self.confidence and unheard > 0.0:
            lied = (1.0 - self.reliability) * unheard
            self._lose_trust(now, lied / (lied + 1.0 - unheard))

    def _lose_trust(self, now: float, blame: float = 1.0) -> None:
        was, self.reliability = self.confidence, self.reliability * (1.0 - _LOSS * blame)
        if was and not self.confidence:
            self._doubted(now)

    def _doubted(self, now: float) -> None:
        self._rest(now + self._doubt)
        self._doubt = min(self._doubt * 2.0, _LONGEST_DOUBT)

    def _rest(self, until: float) -> None:
        self.unaccounted, self._hunt = 0, None
        self.next_read_at = self.resting_until = until


def best_period(ends_per_second: float, worth: float, *, longest: float) -> float:
    """How often to look at the counts, in seconds: what a look costs against the lateness it saves.

    :param worth: how many questions a second of lateness is worth.
    """
    if ends_per_second <= 0.0:
        return longest
    return min(max(sqrt(2.0 / (worth * ends_per_second)), _SHORTEST), longest)
