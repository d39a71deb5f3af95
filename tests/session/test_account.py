"""What the account says of itself, looking at a task, and asking that one be stopped."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rh_async import Account, DreamActor, Session
from rh_async.emulator import Emulator, Fault
from rh_async.errors import AuthenticationFailed, InvalidRequestError, JobCancelled, NotFound
from tests.session.conftest import Media


async def test_the_account_has_key_type_limit_tasks_and_wallet(media: Media) -> None:
    async with (
        Emulator(seed=1, limit=7, balance=100) as server,
        Session(server.api_key, base_url=server.url) as session,
    ):
        await session.submit(DreamActor(media.images[0], media.videos[0]))
        account = await session.account()
    left = 100 - server.ledger.total_charged
    assert account == Account(
        key_type="SHARED", limit=7, running=1, queued=0, money=left, currency=account.currency, coins=Decimal(0)
    )


async def test_an_unknown_key_is_refused_and_the_other_site_named(server: Emulator) -> None:
    async with Session("0" * 32, base_url=server.url) as session:
        with pytest.raises(AuthenticationFailed, match=r"runninghub\.cn") as caught:
            await session.account()
    assert (caught.value.code, caught.value.phase) == ("806", "account")


@pytest.mark.parametrize(
    "fault", [Fault("error_code", route="queue_status", code="1014"), Fault("invalid_body", route="queue_status")]
)
async def test_the_wallet_is_returned_even_if_the_queue_counters_are_not(
    fault: Fault, server: Emulator, session: Session
) -> None:
    server.faults.add(fault)
    account = await session.account()
    assert (account.key_type, account.limit) == ("SHARED", None)
    assert server.ledger.faults


async def test_the_status_of_a_task_can_be_queried_once(server: Emulator, session: Session, media: Media) -> None:
    job = await session.submit(DreamActor(media.images[0], media.videos[0]))
    assert (await session.get_status(str(job.task_id))).status == "RUNNING"
    assert [asked.task_id for asked in server.ledger.calls if asked.kind == "query"] == [job.task_id]
    with pytest.raises(NotFound):
        await session.get_status("1999999999999999999")
    with pytest.raises(InvalidRequestError):
        await session.get_status("latest")


async def test_a_running_task_is_stopped_and_its_job_ends_as_cancelled(
    server: Emulator, session: Session, media: Media
) -> None:
    job = await session.submit(DreamActor(media.images[0], media.videos[0]))
    assert (await session.cancel(str(job.task_id))).cancelled
    with pytest.raises(JobCancelled) as caught:
        await job
    assert caught.value.maybe_billed
    assert [task.status for task in server.ledger.tasks] == ["CANCEL"]


async def test_cancelling_a_settled_task_returns_how_it_ended(server: Emulator, session: Session, media: Media) -> None:
    result = await session.run(DreamActor(media.images[0], media.videos[0]))
    snapshot = await session.cancel(result.task_id)
    assert snapshot.succeeded
    assert snapshot.outputs
    with pytest.raises(NotFound):
        await session.cancel("1999999999999999999")
    assert [task.status for task in server.ledger.tasks] == ["SUCCESS"]


@pytest.mark.parametrize("kind", ["drop_before_body", "drop_after_accept", "gateway_502", "http_429"])
async def test_stopping_is_repeated_until_it_is_answered(
    kind: str, server: Emulator, session: Session, media: Media
) -> None:
    job = await session.submit(DreamActor(media.images[0], media.videos[0]))
    server.faults.add(Fault(kind, route="cancel"))  # type: ignore[arg-type]
    assert (await session.cancel(str(job.task_id))).cancelled
    assert [fault.kind for fault in server.ledger.faults] == [kind]
