"""How long jobs run, learnt from those that ended: on nothing at all, on a handful, and on whatever comes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rh_async import PollingPolicy
from rh_async._polling.job_kinds import run_time_prior
from rh_async._polling.run_time_estimator import RunTimeEstimator
from rh_async._polling.scheduler import PollScheduler
from rh_async._polling.survival_table import SurvivalTable
from rh_async._runtime.statistics import RunTimeSummary
from tests.pure.fleet import MODEL, Draw, Fleet, lognormal, two_humps

LATENCY_COST = 10.0  # questions per second of lateness
SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
AGES = (0.0, 0.5, 1.0, 10.0, 59.9, 60.0, 180.0, 181.3, 3600.0, 86400.0, 1e6, 1e9)

seconds = st.one_of(st.just(0.0), st.floats(0, 1e-3), st.floats(0, 2000), st.floats(0, 1e9))


def of(samples: Iterable[float]) -> SurvivalTable:
    times = SurvivalTable()
    for sample in samples:
        times.learn(sample)
    return times


def drawn(draw: Draw, count: int, *, seed: int = 3) -> list[float]:
    chance = random.Random(seed)
    return [draw(chance) for _ in range(count)]


def looks(times: SurvivalTable, *, until: float, step: float = 0.45) -> list[float]:
    """At which ages a job is looked at, at the usual pace, if it never ends."""
    ages = [0.0]
    while ages[-1] < until:
        ages.append(times.next_poll_age(ages[-1], step))
    return ages[1:-1]


def roughness(times: SurvivalTable) -> float:
    """How much the hazard goes up and down over the ages at which jobs end."""
    hazards = [times.hazard(age) for age in range(60, 420, 5)]
    return sum(abs(after - before) for before, after in pairwise(hazards))


# --- before anything is known -----------------------------------------------------------------------------------------


def test_before_anything_is_known_a_job_takes_minutes_within_a_factor_of_two_or_so() -> None:
    nothing = SurvivalTable()
    assert nothing.samples == 0
    assert nothing.quantile(0.5) == pytest.approx(180, rel=0.03)
    assert nothing.quantile(0.1) == pytest.approx(180 / 2.79, rel=0.05)
    assert nothing.quantile(0.9) == pytest.approx(180 * 2.79, rel=0.05)


def test_a_few_ends_move_the_guess_and_do_not_replace_it() -> None:
    few = of([30.0, 30.0])
    assert 30 < few.quantile(0.5) < 150
    assert few.quantile(0.95) > 100


# --- what is learnt ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_hundred_ends_tell_the_median_within_a_tenth(seed: int) -> None:
    times = of(drawn(lognormal(180, 0.4), 100, seed=seed))
    assert times.quantile(0.5) == pytest.approx(180, rel=0.1)


@pytest.mark.parametrize("median", [4.0, 20.0, 60.0, 600.0, 7200.0])
def test_quick_and_slow_models_are_learnt_alike(median: float) -> None:
    times = of(drawn(lognormal(median, 0.2), 100))
    assert times.quantile(0.5) == pytest.approx(median, rel=0.1)
    assert times.quantile(0.9) == pytest.approx(median * 1.29, rel=0.15)


def test_the_more_is_known_the_fewer_questions_a_job_needs() -> None:
    efforts = [of(drawn(lognormal(180, 0.2), count)).effort for count in (0, 10, 100, 400)]
    assert all(after < before for before, after in pairwise(efforts))


def test_two_humps_stay_two_and_hardly_anybody_is_asked_about_between_them() -> None:
    times = of(drawn(two_humps(60, 300), 200))
    asked = looks(times, until=360)
    between = [age for age in asked if 95 < age < 205]
    assert len(between) <= len(asked) / 8
    assert times.survival(110) == pytest.approx(times.survival(190), abs=0.02)
    assert times.survival(110) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("stray", [0.0, 1.0, 2000.0, 1e9])
def test_one_stray_end_among_many_alike_widens_nothing(stray: float) -> None:
    alike = drawn(lognormal(180, 0.1), 60)
    with_stray = of([*alike[:30], stray, *alike[30:]])
    without = of(alike)
    for share in (0.1, 0.5, 0.9):
        assert with_stray.quantile(share) == pytest.approx(without.quantile(share), rel=0.05)


def test_the_first_to_end_are_the_shortest_and_those_that_still_run_say_so() -> None:
    ends = sorted(drawn(lognormal(400, 0.3), 50))
    naive, told = SurvivalTable(), SurvivalTable()
    before = 0.0
    for order, end in enumerate(ends[:10], start=1):
        naive.learn(end)
        for _ in range(50 - order):
            told.add_running(before, end)
        told.learn(end, ran_from=before)
        before = end
    assert naive.quantile(0.5) < 320
    assert told.quantile(0.5) == pytest.approx(400, rel=0.2)


@given(ends=st.lists(seconds, min_size=1, max_size=5), still=st.lists(seconds, max_size=20))
@settings(max_examples=30, deadline=None)
def test_however_long_others_still_run_the_table_holds(ends: list[float], still: list[float]) -> None:
    times = SurvivalTable()
    for end in ends:
        for age in still:
            times.add_running(0.0, age)
        times.learn(end)
    surviving = [times.survival(age) for age in AGES]
    assert surviving[0] == 1.0
    assert all(before >= after >= 0.0 for before, after in pairwise(surviving))
    assert all(times.next_poll_age(age, 0.45) > age for age in AGES)
    assert all(times.remaining(age) >= 0.0 for age in AGES)


@pytest.mark.parametrize("generation", range(3))
def test_however_many_run_beside_them_the_ends_of_every_generation_tell_the_same(generation: int) -> None:
    """A thousand at once: those that end make a fair sample, and those that still run must not crowd them out."""
    scheduler, chance = PollScheduler(PollingPolicy(queue_counters=False)), random.Random(2)
    fleet = Fleet(scheduler, slots=1000, chance=chance)
    fleet.run(1000 * (generation + 1))
    assert scheduler.estimator(MODEL).unscaled.quantile(0.25) == pytest.approx(180 * 0.763, rel=0.07)
    assert scheduler.estimator(MODEL).unscaled.quantile(0.75) == pytest.approx(180 * 1.310, rel=0.07)


def test_an_end_that_may_have_come_at_any_moment_of_a_stretch_is_spread_over_it() -> None:
    stretch, moment = SurvivalTable(), SurvivalTable()
    for _ in range(60):
        stretch.learn(40.0, at_least=0.0)
        moment.learn(20.0)
    assert stretch.survival(10.0) == pytest.approx(0.75, abs=0.15)
    assert stretch.survival(30.0) == pytest.approx(0.25, abs=0.15)
    assert moment.survival(10.0) > 0.9
    assert moment.survival(30.0) < 0.2


def test_a_model_is_guessed_at_by_what_it_makes_until_its_jobs_have_ended() -> None:
    endpoints = ("seedream-v4/text-to-image", "vidu/text-to-video")
    image, video = (SurvivalTable(run_time_prior(endpoint)) for endpoint in endpoints)
    assert image.quantile(0.5) < 30.0
    assert video.quantile(0.5) > 150.0
    for _ in range(50):
        image.learn(90.0)
    assert image.quantile(0.5) == pytest.approx(90.0, rel=0.1)


def test_servers_change_and_what_came_last_counts_most() -> None:
    times = of([*drawn(lognormal(60, 0.1), 200), *drawn(lognormal(240, 0.1), 400)])
    assert times.quantile(0.5) == pytest.approx(240, rel=0.15)


def test_thousands_of_ends_make_a_table_no_finer_and_the_latest_still_count_most() -> None:
    samples = drawn(lognormal(180, 0.4), 7200)
    times = of(samples[:2000])
    before = roughness(times)
    for sample in samples[2000:]:
        times.learn(sample)
    assert times.samples == 7200
    assert roughness(times) < 2 * before
    for sample in drawn(lognormal(20, 0.1), 600):
        times.learn(sample)
    assert times.quantile(0.7) == pytest.approx(20, rel=0.15)


def test_a_table_is_summed_up_by_its_median_and_by_what_one_in_ten_exceeds() -> None:
    times = of(drawn(lognormal(180, 0.4), 200))
    summary = RunTimeSummary.of(times)
    assert summary.samples == 200
    assert (summary.low, summary.median, summary.high) == tuple(times.quantile(share) for share in (0.1, 0.5, 0.9))


# --- when to look -----------------------------------------------------------------------------------------------------


def test_looks_are_close_where_ends_are_likely_and_wide_apart_where_they_are_not() -> None:
    times = of(drawn(lognormal(180, 0.1), 200))
    asked = looks(times, until=220)
    assert len([age for age in asked if age < 120]) <= 3
    assert len([age for age in asked if 150 <= age < 210]) >= 10


@pytest.mark.parametrize("step", [0.2, 0.45, 2.0])
def test_a_longer_step_means_as_many_fewer_looks(step: float) -> None:
    times = of(drawn(lognormal(180, 0.4), 100))
    assert len(looks(times, until=400, step=step)) == pytest.approx(
        len(looks(times, until=400, step=0.1)) * 0.1 / step, abs=2
    )


def test_the_effort_is_what_looks_at_a_life_cost_on_average() -> None:
    draw = lognormal(180, 0.3)
    times, step = of(drawn(draw, 400)), 0.2
    needed = [1 + len(looks(times, until=end, step=step)) for end in drawn(draw, 300, seed=9)]
    assert sum(needed) / len(needed) == pytest.approx(times.effort / step, rel=0.15)


# --- any samples ------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(samples=st.lists(seconds, max_size=24), ages=st.lists(seconds, min_size=1, max_size=4))
def test_whatever_was_learnt_fewer_and_fewer_survive_and_time_goes_on(samples: list[float], ages: list[float]) -> None:
    times = of(samples)
    known = sorted({*AGES, *ages})
    surviving = [times.survival(age) for age in known]
    assert surviving[0] == 1.0
    assert surviving[-1] == pytest.approx(0.0, abs=1e-6)
    assert all(1.0 >= before >= after >= 0.0 for before, after in pairwise(surviving))
    for age in known:
        assert times.hazard(age) >= 0.0
        assert times.remaining(age) >= 0.0
        assert all(times.next_poll_age(age, step) > age for step in (0.05, 0.45, 3.0, 100.0))


@settings(max_examples=40, deadline=None)
@given(samples=st.lists(seconds, max_size=24))
def test_whatever_was_learnt_more_jobs_take_longer_to_end_and_a_later_look_is_never_sooner(
    samples: list[float],
) -> None:
    times = of(samples)
    quantiles = [times.quantile(share) for share in (0.0, *SHARES, 1.0)]
    assert all(0.0 <= before <= after <= 86400.0 * 1.1 for before, after in pairwise(quantiles))
    ahead = [times.next_poll_age(age, 0.45) for age in AGES]
    assert all(after >= before for before, after in pairwise(ahead))
    assert times.samples == len(samples)
    assert times.effort > 0


# --- the length of the driving video ----------------------------------------------------------------------------------


def estimator_of(pairs: Iterable[tuple[float, float | None]]) -> RunTimeEstimator:
    known = RunTimeEstimator()
    for run_time, driving in pairs:
        known.learn(run_time, driving)
    return known


def clips(count: int, *, seed: int = 4) -> list[float]:
    chance = random.Random(seed)
    return [chance.uniform(2, 30) for _ in range(count)]


def test_where_the_length_of_the_driving_video_decides_run_times_are_expected_by_the_second_of_it() -> None:
    chance = random.Random(8)
    known = estimator_of((18.0 * clip * chance.lognormvariate(0, 0.1), clip) for clip in clips(80))
    assert known.estimate(5.0).remaining(0) == pytest.approx(90, rel=0.15)
    assert known.estimate(20.0).remaining(0) == pytest.approx(360, rel=0.15)


def test_where_its_length_does_not_matter_it_is_not_gone_by() -> None:
    chance = random.Random(8)
    known = estimator_of((180.0 * chance.lognormvariate(0, 0.1), clip) for clip in clips(80))
    assert known.estimate(3.0).remaining(0) == pytest.approx(180, rel=0.1)
    assert known.estimate(30.0).remaining(0) == pytest.approx(180, rel=0.1)


@pytest.mark.parametrize("unknown", [None, 0.0])
def test_a_job_whose_driving_video_is_not_known_is_expected_like_all_together(unknown: float | None) -> None:
    known = estimator_of((18.0 * clip, clip) for clip in clips(80))
    assert known.estimate(unknown).remaining(0) == known.unscaled.remaining(0)


def test_four_measured_videos_are_too_few_to_go_by_their_length() -> None:
    known = estimator_of((18.0 * clip, clip) for clip in (5.0, 10.0, 15.0, 20.0))
    assert known.estimate(5.0).table is known.unscaled


def test_what_is_expected_by_the_second_scales_with_the_seconds() -> None:
    known = estimator_of((18.0 * clip, clip) for clip in clips(80))
    short, long = known.estimate(5.0), known.estimate(15.0)
    assert long.remaining(0) == pytest.approx(3 * short.remaining(0), rel=1e-6)
    assert long.survival(240) == pytest.approx(short.survival(80))
    assert long.hazard(240) == pytest.approx(short.hazard(80) / 3)


@pytest.mark.parametrize("driving", [None, 4.0, 25.0])
def test_what_a_job_is_said_to_cost_is_half_questions_and_half_lateness(driving: float | None) -> None:
    known = estimator_of((18.0 * clip * random.Random(clip).lognormvariate(0, 0.2), clip) for clip in clips(300))
    expected = known.estimate(driving)
    age, asked, late, steps = 0.0, 0.0, 0.0, 0
    while (alive := expected.survival(age)) > 1e-3 and steps < 2000:
        after = expected.next_poll_age(age, latency_cost=LATENCY_COST, interval_factor=1.0)
        asked += alive
        late += (alive - expected.survival(after)) * (after - age) / 2.0
        age, steps = after, steps + 1
    assert asked == pytest.approx(LATENCY_COST * late, rel=0.3)
    assert asked + LATENCY_COST * late == pytest.approx(expected.cost(LATENCY_COST), rel=0.2)
