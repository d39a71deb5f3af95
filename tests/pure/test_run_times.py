"""How long jobs run, learnt from jobs that settled: from none, from a handful, and from any sequence."""

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
from tests.pure.fleet import MODEL, Fleet, RunTimes, bimodal, lognormal

LATENCY_COST = 10.0  # polls per second of detection latency
SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
AGES = (0.0, 0.5, 1.0, 10.0, 59.9, 60.0, 180.0, 181.3, 3600.0, 86400.0, 1e6, 1e9)

seconds = st.one_of(st.just(0.0), st.floats(0, 1e-3), st.floats(0, 2000), st.floats(0, 1e9))


def table_of(samples: Iterable[float]) -> SurvivalTable:
    times = SurvivalTable()
    for sample in samples:
        times.learn(sample)
    return times


def draw(run_time: RunTimes, count: int, *, seed: int = 3) -> list[float]:
    rng = random.Random(seed)
    return [run_time(rng) for _ in range(count)]


def poll_ages(times: SurvivalTable, *, until: float, step: float = 0.45) -> list[float]:
    """Return the ages at which a job that never ends is polled, at the default interval."""
    ages = [0.0]
    while ages[-1] < until:
        ages.append(times.next_poll_age(ages[-1], step))
    return ages[1:-1]


def roughness(times: SurvivalTable) -> float:
    """Return how much the hazard goes up and down over the ages at which jobs end."""
    hazards = [times.hazard(age) for age in range(60, 420, 5)]
    return sum(abs(after - before) for before, after in pairwise(hazards))


# --- before anything is known -----------------------------------------------------------------------------------------


def test_before_anything_is_known_a_job_takes_minutes_within_a_factor_of_two_or_so() -> None:
    nothing = SurvivalTable()
    assert nothing.samples == 0
    assert nothing.quantile(0.5) == pytest.approx(180, rel=0.03)
    assert nothing.quantile(0.1) == pytest.approx(180 / 2.79, rel=0.05)
    assert nothing.quantile(0.9) == pytest.approx(180 * 2.79, rel=0.05)


def test_a_few_samples_move_the_prior_and_do_not_replace_it() -> None:
    few = table_of([30.0, 30.0])
    assert 30 < few.quantile(0.5) < 150
    assert few.quantile(0.95) > 100


# --- what is learnt ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_hundred_samples_give_the_median_within_a_tenth(seed: int) -> None:
    times = table_of(draw(lognormal(180, 0.4), 100, seed=seed))
    assert times.quantile(0.5) == pytest.approx(180, rel=0.1)


@pytest.mark.parametrize("median", [4.0, 20.0, 60.0, 600.0, 7200.0])
def test_fast_and_slow_models_are_learnt_alike(median: float) -> None:
    times = table_of(draw(lognormal(median, 0.2), 100))
    assert times.quantile(0.5) == pytest.approx(median, rel=0.1)
    assert times.quantile(0.9) == pytest.approx(median * 1.29, rel=0.15)


def test_the_more_is_known_the_fewer_polls_a_job_needs() -> None:
    efforts = [table_of(draw(lognormal(180, 0.2), count)).effort for count in (0, 10, 100, 400)]
    assert all(after < before for before, after in pairwise(efforts))


def test_two_modes_stay_two_and_jobs_are_hardly_polled_between_them() -> None:
    times = table_of(draw(bimodal(60, 300), 200))
    polls = poll_ages(times, until=360)
    between = [age for age in polls if 95 < age < 205]
    assert len(between) <= len(polls) / 8
    assert times.survival(110) == pytest.approx(times.survival(190), abs=0.02)
    assert times.survival(110) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("outlier", [0.0, 1.0, 2000.0, 1e9])
def test_one_outlier_among_many_samples_alike_widens_nothing(outlier: float) -> None:
    alike = draw(lognormal(180, 0.1), 60)
    with_outlier = table_of([*alike[:30], outlier, *alike[30:]])
    without = table_of(alike)
    for share in (0.1, 0.5, 0.9):
        assert with_outlier.quantile(share) == pytest.approx(without.quantile(share), rel=0.05)


def test_running_jobs_correct_for_the_first_to_end_being_the_shortest() -> None:
    ends = sorted(draw(lognormal(400, 0.3), 50))
    naive, corrected = SurvivalTable(), SurvivalTable()
    before = 0.0
    for order, end in enumerate(ends[:10], start=1):
        naive.learn(end)
        for _ in range(50 - order):
            corrected.add_running(before, end)
        corrected.learn(end, ran_from=before)
        before = end
    assert naive.quantile(0.5) < 320
    assert corrected.quantile(0.5) == pytest.approx(400, rel=0.2)


@given(ends=st.lists(seconds, min_size=1, max_size=5), still=st.lists(seconds, max_size=20))
@settings(max_examples=30, deadline=None)
def test_however_long_other_jobs_run_the_table_stays_consistent(ends: list[float], still: list[float]) -> None:
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
def test_however_many_jobs_run_at_once_every_generation_teaches_the_same(generation: int) -> None:
    """A thousand at once: the jobs that end are a fair sample, which the running ones must not outweigh."""
    scheduler, rng = PollScheduler(PollingPolicy(queue_counters=False)), random.Random(2)
    fleet = Fleet(scheduler, slots=1000, rng=rng)
    fleet.run(1000 * (generation + 1))
    assert scheduler.estimator(MODEL).unscaled.quantile(0.25) == pytest.approx(180 * 0.763, rel=0.07)
    assert scheduler.estimator(MODEL).unscaled.quantile(0.75) == pytest.approx(180 * 1.310, rel=0.07)


def test_an_end_that_may_lie_anywhere_in_a_range_is_spread_over_it() -> None:
    spread, moment = SurvivalTable(), SurvivalTable()
    for _ in range(60):
        spread.learn(40.0, at_least=0.0)
        moment.learn(20.0)
    assert spread.survival(10.0) == pytest.approx(0.75, abs=0.15)
    assert spread.survival(30.0) == pytest.approx(0.25, abs=0.15)
    assert moment.survival(10.0) > 0.9
    assert moment.survival(30.0) < 0.2


def test_the_prior_depends_on_what_a_model_makes_until_its_jobs_have_ended() -> None:
    endpoints = ("seedream-v4/text-to-image", "vidu/text-to-video")
    image, video = (SurvivalTable(run_time_prior(endpoint)) for endpoint in endpoints)
    assert image.quantile(0.5) < 30.0
    assert video.quantile(0.5) > 150.0
    for _ in range(50):
        image.learn(90.0)
    assert image.quantile(0.5) == pytest.approx(90.0, rel=0.1)


def test_servers_change_and_the_newest_samples_count_most() -> None:
    times = table_of([*draw(lognormal(60, 0.1), 200), *draw(lognormal(240, 0.1), 400)])
    assert times.quantile(0.5) == pytest.approx(240, rel=0.15)


def test_thousands_of_samples_make_the_table_no_rougher_and_the_newest_still_count_most() -> None:
    samples = draw(lognormal(180, 0.4), 7200)
    times = table_of(samples[:2000])
    before = roughness(times)
    for sample in samples[2000:]:
        times.learn(sample)
    assert times.samples == 7200
    assert roughness(times) < 2 * before
    for sample in draw(lognormal(20, 0.1), 600):
        times.learn(sample)
    assert times.quantile(0.7) == pytest.approx(20, rel=0.15)


def test_a_table_is_summarised_by_its_median_and_its_tenth_and_ninetieth_percentile() -> None:
    times = table_of(draw(lognormal(180, 0.4), 200))
    summary = RunTimeSummary.of(times)
    assert summary.samples == 200
    assert (summary.low, summary.median, summary.high) == tuple(times.quantile(share) for share in (0.1, 0.5, 0.9))


# --- when to poll -----------------------------------------------------------------------------------------------------


def test_polls_are_close_where_ends_are_likely_and_far_apart_where_they_are_not() -> None:
    times = table_of(draw(lognormal(180, 0.1), 200))
    polls = poll_ages(times, until=220)
    assert len([age for age in polls if age < 120]) <= 3
    assert len([age for age in polls if 150 <= age < 210]) >= 10


@pytest.mark.parametrize("step", [0.2, 0.45, 2.0])
def test_a_longer_step_means_as_many_fewer_polls(step: float) -> None:
    times = table_of(draw(lognormal(180, 0.4), 100))
    assert len(poll_ages(times, until=400, step=step)) == pytest.approx(
        len(poll_ages(times, until=400, step=0.1)) * 0.1 / step, abs=2
    )


def test_the_effort_is_what_the_polls_of_a_job_cost_on_average() -> None:
    run_time = lognormal(180, 0.3)
    times, step = table_of(draw(run_time, 400)), 0.2
    needed = [1 + len(poll_ages(times, until=end, step=step)) for end in draw(run_time, 300, seed=9)]
    assert sum(needed) / len(needed) == pytest.approx(times.effort / step, rel=0.15)


# --- any samples ------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(samples=st.lists(seconds, max_size=24), ages=st.lists(seconds, min_size=1, max_size=4))
def test_whatever_was_learnt_survival_falls_and_the_next_poll_is_ahead(samples: list[float], ages: list[float]) -> None:
    times = table_of(samples)
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
def test_whatever_was_learnt_quantiles_rise_and_a_later_age_never_means_an_earlier_poll(
    samples: list[float],
) -> None:
    times = table_of(samples)
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
    rng = random.Random(seed)
    return [rng.uniform(2, 30) for _ in range(count)]


def test_where_the_length_of_the_driving_video_decides_run_times_are_estimated_by_the_second_of_it() -> None:
    rng = random.Random(8)
    known = estimator_of((18.0 * clip * rng.lognormvariate(0, 0.1), clip) for clip in clips(80))
    assert known.estimate(5.0).remaining(0) == pytest.approx(90, rel=0.15)
    assert known.estimate(20.0).remaining(0) == pytest.approx(360, rel=0.15)


def test_where_the_length_of_the_driving_video_does_not_matter_it_is_ignored() -> None:
    rng = random.Random(8)
    known = estimator_of((180.0 * rng.lognormvariate(0, 0.1), clip) for clip in clips(80))
    assert known.estimate(3.0).remaining(0) == pytest.approx(180, rel=0.1)
    assert known.estimate(30.0).remaining(0) == pytest.approx(180, rel=0.1)


@pytest.mark.parametrize("unknown", [None, 0.0])
def test_a_job_whose_driving_video_is_not_known_is_estimated_from_all_jobs(unknown: float | None) -> None:
    known = estimator_of((18.0 * clip, clip) for clip in clips(80))
    assert known.estimate(unknown).remaining(0) == known.unscaled.remaining(0)


def test_four_measured_videos_are_too_few_to_estimate_by_their_length() -> None:
    known = estimator_of((18.0 * clip, clip) for clip in (5.0, 10.0, 15.0, 20.0))
    assert known.estimate(5.0).table is known.unscaled


def test_an_estimate_by_the_second_scales_with_the_seconds() -> None:
    known = estimator_of((18.0 * clip, clip) for clip in clips(80))
    short, long = known.estimate(5.0), known.estimate(15.0)
    assert long.remaining(0) == pytest.approx(3 * short.remaining(0), rel=1e-6)
    assert long.survival(240) == pytest.approx(short.survival(80))
    assert long.hazard(240) == pytest.approx(short.hazard(80) / 3)


@pytest.mark.parametrize("driving", [None, 4.0, 25.0])
def test_the_cost_of_a_job_is_half_polls_and_half_latency(driving: float | None) -> None:
    known = estimator_of((18.0 * clip * random.Random(clip).lognormvariate(0, 0.2), clip) for clip in clips(300))
    expected = known.estimate(driving)
    age, polls, late, steps = 0.0, 0.0, 0.0, 0
    while (alive := expected.survival(age)) > 1e-3 and steps < 2000:
        after = expected.next_poll_age(age, latency_cost=LATENCY_COST, interval_factor=1.0)
        polls += alive
        late += (alive - expected.survival(after)) * (after - age) / 2.0
        age, steps = after, steps + 1
    assert polls == pytest.approx(LATENCY_COST * late, rel=0.3)
    assert polls + LATENCY_COST * late == pytest.approx(expected.cost(LATENCY_COST), rel=0.2)
