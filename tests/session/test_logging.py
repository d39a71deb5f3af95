"""What the session logs: a job's life at INFO, every call at DEBUG, and never a secret or a control character."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from rh_async import DreamActor, PollingPolicy, Session
from rh_async.emulator import Emulator, Fault
from rh_async.errors import JobFailed
from tests.session.conftest import Media


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Listen to all."""
    caplog.set_level(logging.DEBUG, logger="rh_async")


def lines(caplog: pytest.LogCaptureFixture, logger: str) -> list[str]:
    """What a logger wrote."""
    return [record.getMessage() for record in caplog.records if record.name == logger]


async def test_the_life_of_a_job_is_one_line_per_change_with_key_task_and_endpoint(
    media: Media, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Emulator(seed=1) as server:
        async with Session(server.api_key, base_url=server.url) as session:
            await session.run(
                DreamActor(media.images[0], media.videos[0]), idempotency_key="scene-9", output_dir=tmp_path / "out"
            )
        (task,) = server.ledger.tasks
    told = lines(caplog, "rh_async.jobs")
    model = "endpoint=bytedance/dreamactor-v2"
    assert told[0] == f"rh_async.queued key=scene-9 {model}"
    assert told[1].startswith(f"rh_async.accepted key=scene-9 task_id={task.task_id} {model} ")
    assert told[-2] == f"rh_async.settled key=scene-9 task_id={task.task_id} {model} SUCCESS"
    assert told[-1] == f"rh_async.saved task_id={task.task_id} {tmp_path / 'out' / f'{task.task_id}_0.mp4'}"
    assert len(told) == len(set(told))
    facts = [(record.event, record.task_id) for record in caplog.records if record.name == "rh_async.jobs"]  # type: ignore[attr-defined]
    assert facts[-1] == ("saved", task.task_id)
    assert {record.levelno for record in caplog.records if record.name == "rh_async.jobs"} == {logging.INFO}


async def test_every_call_is_one_debug_line_without_query_header_or_body(
    media: Media, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Emulator(seed=1) as server:
        async with Session(server.api_key, base_url=server.url) as session:
            await session.run(DreamActor(media.images[0], media.videos[0]), output_dir=tmp_path)
        seen = len(server.ledger.submissions) + len(server.ledger.calls) + len(server.ledger.uploads)
        seen += len(server.ledger.downloads)
    told = lines(caplog, "rh_async.calls")
    assert len(told) == seen
    assert all(re.fullmatch(r"rh_async\.call (GET|POST) \S+ 200 \d+ ms", line) for line in told)
    assert sum("/openapi/v2/bytedance/dreamactor-v2 " in line for line in told) == 1
    assert not any("?" in line or server.api_key in line or "signature" in line for line in told)


async def test_a_call_that_was_never_answered_is_logged_by_its_error(caplog: pytest.LogCaptureFixture) -> None:
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("drop_before_body", route="account", times=1))
        async with Session(server.api_key, base_url=server.url, polling=PollingPolicy(queue_counters=False)) as session:
            await session.account()
    told = [line for line in lines(caplog, "rh_async.calls") if "accountStatus" in line]
    assert len(told) >= 2
    assert re.search(r"accountStatus [A-Z]\w+ \d+ ms$", told[0])


@pytest.mark.parametrize("hostile", ["\x1b]0;title\x07", "\u202egnp.exe", "two\nlines", "x" * 100_000])
async def test_what_the_server_says_is_one_clean_line_in_logs_and_errors(
    hostile: str, media: Media, caplog: pytest.LogCaptureFixture
) -> None:
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("failed", code="1015", message=f"it failed: {hostile}"))
        async with Session(server.api_key, base_url=server.url) as session:
            with pytest.raises(JobFailed) as failed:
                await session.run(DreamActor(media.images[0], media.videos[0]))
    texts = [str(failed.value), *(record.getMessage() for record in caplog.records)]
    assert any("it failed" in text for text in texts)
    assert all(text.isprintable() and len(text) < 5_000 for text in texts)
