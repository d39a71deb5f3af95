"""Runs on uvloop what is most likely to differ between event loops: timers, crashes, closing, threads, sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from rh_async import ModelRequest, PollingPolicy, RetryPolicy, Session
from rh_async.emulator import Emulator, Fault
from tests.journal.conftest import opened, wall
from tests.journal.test_journal import test_many_open_one_new_file_at_once
from tests.journal.test_stores import (
    new_store,
    open_journal,
    place,
    rows,
    test_a_task_belongs_to_one_row_only_and_its_neighbours_in_a_commit_are_kept,
    test_an_ended_sessions_open_post_becomes_uncertain_and_a_running_ones_does_not,
)
from tests.session.test_crash import (
    test_a_job_can_be_submitted_attached_and_withdrawn_in_a_callback_of_the_loop,
    test_a_job_whose_outcome_cannot_be_made_ends_with_that_error,
    test_a_services_task_that_is_cancelled_from_outside_ends_every_wait,
    test_a_wait_for_a_call_that_meets_a_bug_ends_at_once,
    test_closing_a_session_that_waits_for_its_jobs_ends_when_it_crashes,
    test_every_wait_ends_at_once_and_names_the_cause,
)
from tests.session.test_jobs import (
    test_a_submit_cancelled_before_its_post_is_sent_submits_nothing,
)

__all__ = [
    "new_store",
    "open_journal",
    "opened",
    "place",
    "rows",
    "test_a_job_can_be_submitted_attached_and_withdrawn_in_a_callback_of_the_loop",
    "test_a_job_whose_outcome_cannot_be_made_ends_with_that_error",
    "test_a_services_task_that_is_cancelled_from_outside_ends_every_wait",
    "test_a_submit_cancelled_before_its_post_is_sent_submits_nothing",
    "test_a_task_belongs_to_one_row_only_and_its_neighbours_in_a_commit_are_kept",
    "test_a_wait_for_a_call_that_meets_a_bug_ends_at_once",
    "test_an_ended_sessions_open_post_becomes_uncertain_and_a_running_ones_does_not",
    "test_closing_a_session_that_waits_for_its_jobs_ends_when_it_crashes",
    "test_every_wait_ends_at_once_and_names_the_cause",
    "test_many_open_one_new_file_at_once",
    "wall",
]

pytestmark = pytest.mark.uvloop

MODEL = "bench/motion"


async def test_a_session_that_polls_as_often_as_possible_finishes_every_job() -> None:
    policy = PollingPolicy(interval=1, max_interval=2, polls_per_second=200)
    async with Emulator(seed=1, limit=100, run_time=lambda _, rng: rng.uniform(0.2, 2.0)) as server:
        async with Session(server.api_key, base_url=server.url, in_flight=100, polling=policy) as session:
            outcomes = [
                outcome async for outcome in session.map(ModelRequest(MODEL, {"seed": number}) for number in range(300))
            ]
        assert [outcome.error for outcome in outcomes] == [None] * 300
        assert len(server.ledger.tasks) == 300


@pytest.mark.parametrize("durable", [False, True])
async def test_transient_faults_and_a_rate_limit_cost_no_job(tmp_path: Path, durable: bool) -> None:
    retry = RetryPolicy(initial_delay=0.01, max_delay=0.05)
    policy = PollingPolicy(interval=0.1, max_interval=0.3, polls_per_second=100)
    journal_path = tmp_path / "journal.db" if durable else None
    async with Emulator(seed=1, run_time=0.3, rate_limit=100) as server:
        for kind in ("drop_before_body", "drop_after_accept", "gateway_502", "invalid_body", "empty_body"):
            server.faults.add(Fault(kind, route="query", probability=0.1, times=None))
        server.faults.add(Fault("error_code", route="submit", code="421", probability=0.2, times=None))
        async with Session(
            server.api_key, base_url=server.url, polling=policy, retry=retry, journal=journal_path
        ) as session:
            requests = [ModelRequest(MODEL, {"seed": number}) for number in range(40)]
            outcomes = [outcome async for outcome in session.map(requests)]
        assert [outcome.error for outcome in outcomes] == [None] * 40
        assert len(server.ledger.tasks) == 40
