"""A task is submitted, queried, cancelled and priced by the family of its request, in this session and in the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from rh_async import ModelRequest, Session, Snapshot, TaskId
from rh_async._api import task_family
from rh_async._api.standard_tasks import StandardTasks
from rh_async._api.wire import ApiCall, ApiResponse
from rh_async.emulator import Emulator
from rh_async.errors import JobCancelled
from tests.session.conftest import Media

PREFIX = "made-up/"
MODEL = "bytedance/dreamactor-v2"


@define
class MadeUpTasks(StandardTasks):
    """Tasks whose endpoint has a prefix that the server does not know; says which calls it was asked for."""

    calls: Counter[str] = field(factory=Counter)

    def owns(self, endpoint: str) -> bool:
        return endpoint.startswith(PREFIX)

    def encode_submit(self, api_key: str, endpoint: str, body: Mapping[str, Any]) -> ApiCall:
        self.calls["submit"] += 1
        return super().encode_submit(api_key, endpoint.removeprefix(PREFIX), body)

    def decode_submit(self, response: ApiResponse, *, currency: str | None = None) -> Snapshot:
        self.calls["submitted"] += 1
        return super().decode_submit(response, currency=currency)

    def encode_query(self, api_key: str, task_id: TaskId) -> ApiCall:
        self.calls["query"] += 1
        return super().encode_query(api_key, task_id)

    def decode_query(self, response: ApiResponse, task_id: TaskId, *, currency: str | None = None) -> Snapshot:
        self.calls["queried"] += 1
        return super().decode_query(response, task_id, currency=currency)

    def encode_cancel(self, api_key: str, task_id: TaskId) -> ApiCall:
        self.calls["cancel"] += 1
        return super().encode_cancel(api_key, task_id)

    def encode_price(self, api_key: str, endpoint: str, body: Mapping[str, Any]) -> ApiCall:
        self.calls["price"] += 1
        return super().encode_price(api_key, endpoint.removeprefix(PREFIX), body)


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> MadeUpTasks:
    family = MadeUpTasks()
    monkeypatch.setattr(task_family, "FAMILIES", (family, *task_family.FAMILIES))
    return family


def request(media: Media) -> ModelRequest:
    return ModelRequest(PREFIX + MODEL, {"imageUrl": media.images[0], "videoUrl": media.videos[0]})


async def test_every_call_about_a_task_is_built_by_the_family_of_its_request(
    server: Emulator, session: Session, media: Media, family: MadeUpTasks
) -> None:
    await session.price(request(media))
    await session.run(request(media))
    queries = [call for call in server.ledger.calls if call.kind == "query"]
    assert [submission.endpoint for submission in server.ledger.submissions] == [MODEL]
    assert family.calls == {"price": 1, "submit": 1, "submitted": 1, "query": len(queries), "queried": len(queries)}


async def test_a_running_task_is_cancelled_by_its_family(session: Session, media: Media, family: MadeUpTasks) -> None:
    job = await session.submit(request(media))
    await session.cancel(str(job.task_id))
    with pytest.raises(JobCancelled):
        await job
    assert family.calls["cancel"] == 1


async def test_a_task_of_another_family_is_left_to_it(session: Session, media: Media, family: MadeUpTasks) -> None:
    job = await session.submit(ModelRequest(MODEL, {"imageUrl": media.images[0], "videoUrl": media.videos[0]}))
    await job
    assert not family.calls


async def test_a_task_of_an_earlier_session_is_queried_by_its_family(
    server: Emulator, media: Media, family: MadeUpTasks, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.sqlite"
    async with Session(server.api_key, base_url=server.url, journal=journal, on_exit="detach") as first:
        await first.submit(request(media))
    family.calls.clear()
    async with Session(server.api_key, base_url=server.url, journal=journal) as second:
        (job,) = (await second.recovery.resume()).jobs
        await job
    assert family.calls["query"] == family.calls["queried"] > 0
    assert family.calls["submit"] == 0
    before = family.calls.copy()
    async with Session(server.api_key, base_url=server.url, journal=journal) as third:
        await third.run(request(media))
    assert set(family.calls - before) == {"queried"}  # the response that the record keeps
    assert len(server.ledger.submissions) == 1
