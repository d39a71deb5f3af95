"""What a caller learns of a job that did not end well."""

from __future__ import annotations

import logging

import pytest

from rh_async import CharacterMotionTransfer, DreamActor, Session, SubmitUnknown
from rh_async.emulator import Emulator, Fault
from rh_async.errors import JobFailed, NotFound
from rh_async.events import Event, Flawed, Submitted
from tests.session.conftest import Media


async def test_a_failed_workflow_names_the_node_and_its_exception(
    server: Emulator, session: Session, media: Media
) -> None:
    why = {"node_name": "KSampler", "exception_message": "out of memory", "traceback": '["line 1"]'}
    server.faults.add(Fault("failed", code="1000", failed_reason=why))
    with pytest.raises(JobFailed, match="code 1000: Unknown error: KSampler: out of memory") as caught:
        await session.run(DreamActor(media.images[0], media.videos[0]))
    assert caught.value.reason == "KSampler: out of memory"
    assert caught.value.snapshot is not None
    assert caught.value.snapshot.reason == "KSampler: out of memory"


async def test_a_flawed_workflow_is_reported_at_its_submit_polled_to_its_end_and_noted_on_its_error(
    server: Emulator, media: Media, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    server.faults.add(Fault("node_errors"))
    async with Session(server.api_key, base_url=server.url, on_event=events.append) as session:
        with caplog.at_level(logging.WARNING, "rh_async"):
            job = await session.submit(CharacterMotionTransfer(media.images[0], media.videos[0]))
            task_id = await job.accepted()
        with pytest.raises(JobFailed) as caught:
            await job
    flaw = "Prompt outputs failed validation; node 299 (LoadImage): Value not in list: image: 'x.png' not in []"
    accepted, told = events[[type(event) for event in events].index(Submitted) :][:2]
    assert (accepted, told) == (
        Submitted(task_id=task_id, endpoint="rhart-video/wan2.2/character-motion-transfer"),
        Flawed(task_id=task_id, flaw=flaw),
    )
    assert [record.message for record in caplog.records] == [f"rh_async.flawed {task_id}: {flaw}"]
    assert job.flaw == flaw
    assert flaw in caught.value.__notes__[0]
    assert "LoadImage: [Errno 2]" in caught.value.reason
    assert [task.task_id for task in server.ledger.tasks] == [task_id]
    assert len(server.ledger.submissions) == 1


async def test_a_job_that_failed_over_a_busy_server_is_never_submitted_again_by_itself(
    server: Emulator, session: Session, media: Media
) -> None:
    server.faults.add(Fault("failed", code="1011"))
    with pytest.raises(JobFailed) as caught:
        await session.run(DreamActor(media.images[0], media.videos[0]))
    assert (caught.value.may_resubmit, caught.value.retryable) == (True, False)
    assert len(server.ledger.submissions) == len(server.ledger.tasks) == 1


async def test_a_404_of_another_server_proves_nothing_about_a_task_that_a_refusal_names(
    server: Emulator, session: Session, media: Media
) -> None:
    server.faults.add(Fault("error_with_task"), Fault("gateway_502", route="query", status=404))
    with pytest.raises(SubmitUnknown) as caught:
        await session.run(DreamActor(media.images[0], media.videos[0]))
    assert caught.value.task_id == server.ledger.tasks[0].task_id
    assert len(server.ledger.submissions) == 1


async def test_an_address_where_something_else_answers_is_named_as_the_fault(server: Emulator, media: Media) -> None:
    server.faults.add(Fault("gateway_502", route="account", status=404))
    async with Session(server.api_key, base_url=server.url) as session:
        with pytest.raises(NotFound, match="base_url"):
            await session.account()
