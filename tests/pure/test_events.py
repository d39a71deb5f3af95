"""What happens in a session: values that can be kept, compared and sorted by their class."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from attrs import asdict, exceptions

from rh_async import Snapshot, TaskId, Upload, events
from rh_async.errors import JobFailed
from rh_async.events import (
    Changed,
    Downloading,
    Event,
    Flawed,
    Saved,
    Settled,
    Submitted,
    Uploaded,
    Uploading,
    Waiting,
    Warned,
)

TASK = TaskId("2013508786110730241")
ONE_OF_EACH: list[Event] = [
    Uploading(path=Path("hero.png"), bytes=1, total=2),
    Uploaded(path=Path("hero.png"), upload=Upload(file_name="openapi/a.png")),
    Submitted(task_id=TASK, endpoint="bytedance/dreamactor-v2"),
    Flawed(task_id=TASK, flaw="node 6 (CLIPTextEncode): Value not in list"),
    Changed(snapshot=Snapshot(task_id=TASK, status="RUNNING")),
    Settled(task_id=None, error=JobFailed("no")),
    Downloading(task_id=TASK, bytes=1, total=None),
    Saved(task_id=TASK, paths=(Path("out.mp4"),)),
    Waiting(reason="capacity", seconds=2.0),
    Warned(code="upload_name", message="the server calls it otherwise"),
]


def test_the_union_names_every_event_of_the_room() -> None:
    classes = {kind for kind in vars(events).values() if isinstance(kind, type) and kind.__module__ == events.__name__}
    assert set(get_args(Event)) == classes == {type(event) for event in ONE_OF_EACH}


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: type(event).__name__)
def test_an_event_can_be_kept_but_never_changed(event: Event) -> None:
    name, value = next(iter(asdict(event, recurse=False).items()))
    assert len({event, event}) == 1
    with pytest.raises(exceptions.FrozenInstanceError):
        setattr(event, name, value)


def test_a_job_that_was_never_accepted_settles_without_a_task_id_and_without_a_result() -> None:
    settled = Settled(task_id=None)
    assert (settled.result, settled.error) == (None, None)
