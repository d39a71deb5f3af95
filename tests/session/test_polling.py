"""How a session polls, by the emulator's ledger: few requests, low latency, no task and no timer for each job."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from random import Random
from typing import Any

import anyio
import pytest

from rh_async import DreamActor, ModelRequest, PollingPolicy, Session, TaskId
from rh_async._polling.completion_detector import QueueCounterDetector
from rh_async.emulator import Emulator, Fault
from rh_async.errors import JobLost
from tests.session.conftest import Media
from tests.virtual_clock import VirtualClockLoop

ENDPOINT = "bench/motion"
WITHOUT_COUNTERS = PollingPolicy(queue_counters=False)


def requests(number: int) -> list[ModelRequest]:
    return [ModelRequest(ENDPOINT, {"seed": n}) for n in range(number)]


async def run_all(session: Session, number: int) -> None:
    async for outcome in session.map(requests(number)):
        assert outcome.result, outcome.error


def detection_latencies(server: Emulator) -> list[float]:
    """Return how long after the end of each task the first query about it came, in seconds."""
    queries: dict[str, list[float]] = {}
    for call in server.ledger.calls:
        if call.kind == "query":
            queries.setdefault(str(call.task_id), []).append(call.at)
    return [
        min(at for at in queries[task.task_id] if at >= task.settles_at) - task.settles_at
        for task in server.ledger.tasks
        if task.settles_at is not None
    ]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def video_jobs(_endpoint: str, rng: Any) -> float:
    """Log-normal, with a median of 180 s and a sigma of 0.4 (POLLING.md 7)."""
    return float(180.0 * rng.lognormvariate(0.0, 0.4))


def teach_run_times(session: Session) -> None:
    """Let a session know the run times of a hundred jobs, as if it had read them from its journal."""
    assert session._lifetime.runtime is not None
    rng = Random(7)
    for _ in range(100):
        session._lifetime.runtime.services.poller.scheduler.learn(ENDPOINT, video_jobs(ENDPOINT, rng))


async def test_a_session_that_knows_nothing_yet_polls_little_and_detects_ends_soon() -> None:
    async with (
        Emulator(seed=1, run_time=video_jobs) as server,
        Session(server.api_key, base_url=server.url) as session,
    ):
        await run_all(session, 50)
    assert (len(server.ledger.submissions) + len(server.ledger.calls)) / 50 <= 32.0
    assert mean(detection_latencies(server)) <= 3.0


async def test_a_session_that_has_learnt_and_can_read_the_counters_detects_ends_within_a_second() -> None:
    async with (
        Emulator(seed=1, run_time=video_jobs) as server,
        Session(server.api_key, base_url=server.url, in_flight=50) as session,
    ):
        teach_run_times(session)
        await run_all(session, 100)
    # 20 is the limit where every slot is always refilled, as in benchmarks/polling; half of this run is start and end.
    assert (len(server.ledger.submissions) + len(server.ledger.calls)) / 100 <= 21.5
    assert mean(detection_latencies(server)) <= 0.7


@pytest.mark.parametrize(
    "counters", [Fault("error_code", route="queue_status", code="1014", times=None)], ids=["missing"]
)
async def test_without_the_counters_it_polls_little_more(counters: Fault) -> None:
    async with (
        Emulator(seed=1, run_time=video_jobs) as server,
        Session(server.api_key, base_url=server.url, in_flight=50) as session,
    ):
        server.faults.add(counters)
        teach_run_times(session)
        await run_all(session, 100)
    late = sorted(detection_latencies(server))
    assert (len(server.ledger.submissions) + len(server.ledger.calls)) / 100 <= 28.0
    assert mean(late) <= 2.6
    assert late[int(0.99 * len(late))] <= 10.0


# --- a model of which nothing is known --------------------------------------------------------------------------------

REFUSED_COUNTERS = Fault("error_code", route="queue_status", code="1014", times=None)


@pytest.mark.parametrize("seconds", [0.1, 2.0, 5.0, 10.0, 20.0, 40.0])
async def test_one_fast_job_of_an_unknown_model_is_detected_within_two_seconds(seconds: float) -> None:
    async with (
        Emulator(seed=1, run_time=seconds) as server,
        Session(server.api_key, base_url=server.url) as session,
    ):
        await session.run(requests(1)[0])
    assert max(detection_latencies(server)) <= 2.0


@pytest.mark.parametrize("seconds", [0.1, 2.0, 5.0, 10.0, 20.0, 40.0])
async def test_without_the_counters_it_is_detected_within_3_s_or_a_quarter_of_its_run_time(
    seconds: float,
) -> None:
    async with (
        Emulator(seed=1, run_time=seconds) as server,
        Session(server.api_key, base_url=server.url) as session,
    ):
        server.faults.add(REFUSED_COUNTERS)
        await session.run(requests(1)[0])
    assert max(detection_latencies(server)) <= max(3.0, 0.25 * seconds)


async def test_fifty_jobs_of_ten_seconds_in_fifty_slots_are_soon_replaced() -> None:
    async with (
        Emulator(seed=1, limit=50, run_time=10.0) as server,
        Session(server.api_key, base_url=server.url, in_flight=50) as session,
    ):
        await run_all(session, 150)
    ends = [task.settles_at for task in server.ledger.tasks if task.settles_at is not None]
    assert max(ends) - server.ledger.submissions[0].at <= 1.15 * 30.0


async def test_a_batch_whose_jobs_all_fail_at_once_is_detected_within_seconds() -> None:
    async with (
        Emulator(seed=1, limit=50, run_time=0.1) as server,
        Session(server.api_key, base_url=server.url, in_flight=50) as session,
    ):
        server.faults.add(Fault("moderation", times=None))
        outcomes = [outcome async for outcome in session.map(requests(50))]
    assert all(outcome.error for outcome in outcomes)
    assert max(detection_latencies(server)) <= 3.0


async def test_what_one_process_has_learnt_spares_the_next_the_first_polls(tmp_path: Any) -> None:
    path = tmp_path / "jobs.db"
    async with Emulator(seed=1, run_time=60.0) as server:
        queries = []
        for seeds in (range(20), [99]):
            before = len(server.ledger.calls)
            async with Session(server.api_key, base_url=server.url, journal=path, polling=WITHOUT_COUNTERS) as session:
                for job in [await session.submit(ModelRequest(ENDPOINT, {"seed": seed})) for seed in seeds]:
                    await job
            queries.append((len(server.ledger.calls) - before) / len(seeds))
    cold, warm = queries
    assert warm <= 0.7 * cold
    assert detection_latencies(server)[-1] <= 5.0


# --- many -------------------------------------------------------------------------------------------------------------


async def test_with_hundreds_in_flight_as_many_polls_are_sent_as_they_need() -> None:
    async with (
        Emulator(seed=1, limit=300, run_time=video_jobs) as server,
        Session(server.api_key, base_url=server.url, in_flight=300) as session,
    ):
        teach_run_times(session)
        await run_all(session, 600)
    assert (len(server.ledger.submissions) + len(server.ledger.calls)) / 600 <= 0.7 * 40.5
    assert mean(detection_latencies(server)) <= 2.6


def reliability_of_counters(session: Session) -> float:
    assert session._lifetime.runtime is not None
    detector = session._lifetime.runtime.services.poller.scheduler.detector
    assert isinstance(detector, QueueCounterDetector)
    return detector.evidence.reliability


async def test_jobs_that_fail_at_once_cost_the_counters_no_reliability() -> None:
    async with (
        Emulator(seed=1, run_time=lambda _, rng: 0.01 if rng.random() < 0.1 else video_jobs("", rng)) as server,
        Session(server.api_key, base_url=server.url, in_flight=50) as session,
    ):
        teach_run_times(session)
        await run_all(session, 150)
        assert reliability_of_counters(session) > 0.8
    assert (len(server.ledger.submissions) + len(server.ledger.calls)) / 150 <= 21.0
    assert mean(detection_latencies(server)) <= 0.8


async def test_ends_that_webhooks_report_cost_the_counters_no_reliability() -> None:
    async with (
        Emulator(seed=1, run_time=video_jobs) as server,
        Session(server.api_key, base_url=server.url, in_flight=50) as session,
    ):
        teach_run_times(session)
        loop = asyncio.get_running_loop()
        poller = session._lifetime.runtime.services.poller if session._lifetime.runtime else None
        assert poller is not None

        async def deliver() -> None:
            delivered: set[str] = set()
            while True:
                await anyio.sleep(0.2)
                for task in server.ledger.tasks:
                    if task.settles_at is not None and task.settles_at <= loop.time() and task.task_id not in delivered:
                        delivered.add(task.task_id)
                        poller.poll_soon(TaskId(task.task_id))

        async with anyio.create_task_group() as webhooks:
            webhooks.start_soon(deliver)
            await run_all(session, 150)
            webhooks.cancel_scope.cancel()
        assert reliability_of_counters(session) > 0.75
    assert (len(server.ledger.submissions) + len(server.ledger.calls)) / 150 <= 20.0
    assert mean(detection_latencies(server)) <= 0.3


async def test_a_job_in_flight_has_no_task_and_no_timer() -> None:
    async with (
        Emulator(seed=1, limit=200, run_time=1000.0) as server,
        Session(server.api_key, base_url=server.url, in_flight=200, polling=WITHOUT_COUNTERS) as session,
    ):
        counted = []
        for added in (10, 190):
            for request in requests(added):
                await session.submit(request)
            await anyio.sleep(1.0)
            loop: Any = asyncio.get_running_loop()
            counted.append((len(asyncio.all_tasks()), sum(not timer.cancelled() for timer in loop._scheduled)))
    few, many = counted
    # The server's own connections differ by two for each poll worker at most.
    assert many[0] - few[0] <= 2 * WITHOUT_COUNTERS.max_open(200)
    assert many[1] - few[1] <= 4 * WITHOUT_COUNTERS.max_open(200)


def test_poll_workers_are_started_under_asyncio_run() -> None:
    """In a timer's callback anyio can start no task there, which the loop of a pytest plugin would hide."""

    async def run() -> int:
        async with (
            Emulator(seed=1, limit=40, run_time=30.0) as server,
            Session(server.api_key, base_url=server.url, in_flight=40) as session,
        ):
            await run_all(session, 40)
        return len(server.ledger.tasks)

    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        assert contextvars.Context().run(runner.run, run()) == 40


async def test_a_poll_starts_no_task() -> None:
    started: Counter[str] = Counter()

    def counting(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        started[work.__qualname__] += 1
        return asyncio.Task(work, loop=loop, **options)

    async with (
        Emulator(seed=1, run_time=video_jobs) as server,
        Session(server.api_key, base_url=server.url, in_flight=20, polling=WITHOUT_COUNTERS) as session,
    ):
        asyncio.get_running_loop().set_task_factory(counting)
        await run_all(session, 20)
        asyncio.get_running_loop().set_task_factory(None)
    # Not ours: the server's connections, and aiohttp's own writing of a body (none from Python 3.12 on).
    foreign = ("BaseEventLoop", "RequestHandler", "ClientRequest.write_bytes")
    ours = sum(times for name, times in started.items() if not name.startswith(foreign))
    assert len(server.ledger.calls) > 200
    # One for each submission, one for each poll worker that is needed at once, and none for the polls.
    assert ours <= 20 + PollingPolicy().max_open(20) + 5, started


async def test_statistics_show_the_state_of_the_session(media: Media) -> None:
    async with (
        Emulator(seed=1, limit=4, run_time=100.0) as server,
        Session(server.api_key, base_url=server.url) as session,
    ):
        first = session.statistics()
        assert (first.waiting, first.in_flight, first.settled) == (0, 0, 0)
        jobs = [session.submit_nowait(DreamActor(media.images[0], media.videos[0])) for _ in range(6)]
        await anyio.sleep(20.0)
        busy = session.statistics()
        assert (busy.waiting, busy.in_flight, busy.settled) == (2, 4, 0)
        for job in jobs:
            await job
        last = session.statistics()
    queries = Counter(call.kind for call in server.ledger.calls)
    assert (last.waiting, last.in_flight, last.settled) == (0, 0, 6)
    assert last.requests == {
        "submit": len(server.ledger.submissions),
        "query": queries["query"],
        "queue_status": queries["queue_status"],
    }
    assert last.run_times["bytedance/dreamactor-v2"].samples == 6
    assert last.run_times["bytedance/dreamactor-v2"].median == pytest.approx(100.0, rel=0.2)
    assert last.detection_latency <= last.detection_latency_p99 <= 60.0
    assert 0.0 <= last.counter_confidence <= 1.0


async def test_a_jobs_eta_falls_as_it_runs_and_is_none_before_and_after(server: Emulator, session: Session) -> None:
    job = session.submit_nowait(requests(1)[0])
    assert job.eta is None
    await job.accepted()
    await anyio.sleep(1.0)
    early = job.eta
    await anyio.sleep(30.0)
    later = job.eta
    assert early is not None
    assert later is not None
    assert 60.0 < early < 600.0  # three minutes is the guess while nothing is known
    assert later < early
    await job
    assert job.eta is None


async def test_what_was_learnt_is_read_from_the_journal_by_the_next_session(tmp_path: Any) -> None:
    path = tmp_path / "jobs.db"
    async with Emulator(seed=1, run_time=40.0) as server:
        async with Session(server.api_key, base_url=server.url, journal=path, polling=WITHOUT_COUNTERS) as session:
            await run_all(session, 8)
        async with Session(server.api_key, base_url=server.url, journal=path, polling=WITHOUT_COUNTERS) as session:
            await session.submit(ModelRequest(ENDPOINT, {"seed": 99}))
            await anyio.sleep(0.5)
            assert session.statistics().run_times[ENDPOINT].samples == 8


async def test_the_length_of_the_driving_video_is_measured_as_it_is_hashed(media: Media) -> None:
    async with Emulator(seed=1) as server, Session(server.api_key, base_url=server.url) as session:
        jobs = [await session.submit(DreamActor(media.images[0], video)) for video in media.videos]
        linked = await session.submit(requests(1)[0])
    assert [job.driving for job in jobs] == [pytest.approx(seconds, abs=0.3) for seconds in (3, 4, 5)]
    assert linked.driving is None


# --- how many jobs at once --------------------------------------------------------------------------------------------


async def test_a_session_fills_an_account_whose_limit_it_can_read() -> None:
    async with (
        Emulator(seed=1, limit=30, run_time=60.0) as server,
        Session(server.api_key, base_url=server.url) as session,
    ):
        await run_all(session, 60)
    assert server.ledger.peak_unsettled() == 30
    assert sum(bool(submission.code) for submission in server.ledger.submissions) <= 6


@pytest.mark.parametrize("limit", [1, 5, 40])
async def test_a_session_fills_an_account_whose_limit_is_not_known(limit: int) -> None:
    async with (
        Emulator(seed=1, limit=limit, run_time=60.0) as server,
        Session(server.api_key, base_url=server.url) as session,
    ):
        server.faults.add(Fault("error_code", route="queue_status", code="1014", times=None))
        await run_all(session, 3 * limit)
    tasks = server.ledger.tasks
    assert len(tasks) == 3 * limit
    assert server.ledger.peak_unsettled() == limit
    full = sorted(task.created_at for task in tasks)[limit - 1]
    assert full < 10.0


async def test_a_limit_that_moves_is_followed_and_no_job_fails() -> None:
    async with (
        Emulator(seed=1, limit=40, run_time=60.0) as server,
        Session(server.api_key, base_url=server.url) as session,
    ):
        loop = asyncio.get_running_loop()
        loop.call_later(100.0, setattr, server, "limit", 10)
        loop.call_later(300.0, setattr, server, "limit", 40)
        await run_all(session, 200)
        assert server.ledger.unsettled(250.0) == 10
        assert server.ledger.unsettled(380.0) == 40
    assert len(server.ledger.tasks) == 200


async def test_an_explicit_limit_is_not_exceeded_whatever_the_account_says() -> None:
    async with (
        Emulator(seed=1, limit=50, run_time=60.0) as server,
        Session(server.api_key, base_url=server.url, in_flight=7) as session,
    ):
        await run_all(session, 30)
    assert server.ledger.peak_unsettled() == 7


async def test_an_unknown_status_is_logged_once_for_all_jobs_and_polls(
    server: Emulator, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults.add(Fault("unknown_status", task_status="PAUSED", responses=5, times=2))
    with caplog.at_level("WARNING", logger="rh_async"):
        for job in [await session.submit(ModelRequest("own/model", {"seed": n})) for n in range(2)]:
            assert (await job).outputs
    logged = [record.getMessage() for record in caplog.records if "unknown_status" in record.getMessage()]
    assert logged == ["rh_async.unknown_status PAUSED: taken for still running"]
    assert [call.kind for call in server.ledger.calls].count("query") > 2 * 5


async def test_a_job_that_still_runs_at_the_maximum_age_is_lost_and_polled_no_more() -> None:
    policy = PollingPolicy(max_job_age=600.0, queue_counters=False)
    async with (
        Emulator(seed=1, run_time=1e6) as server,
        Session(server.api_key, base_url=server.url, polling=policy) as session,
    ):
        loop = asyncio.get_running_loop()
        job = await session.submit(ModelRequest(ENDPOINT, {}))
        accepted_at = loop.time()
        with pytest.raises(JobLost, match="still RUNNING when it was too old to be polled"):
            await job
        assert 600.0 <= loop.time() - accepted_at <= 600.0 + policy.max_interval
        polls = len(server.ledger.calls)
        await anyio.sleep(600.0)
        assert len(server.ledger.calls) == polls
    assert len(server.ledger.submissions) == 1
