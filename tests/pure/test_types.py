"""The nouns: open to any status word, closed to any change, silent about signed links and bodies."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from attrs import AttrsInstance, asdict, exceptions

from rh_async import Account, Output, Result, Snapshot, TaskId, Upload, Usage
from rh_async.types import CANCELLED, FAILED, IN_FLIGHT, SETTLED, SUCCEEDED

TASK = TaskId("2013508786110730241")


@pytest.mark.parametrize(
    ("status", "settled", "succeeded", "cancelled"),
    [
        ("SUCCESS", True, True, False),
        ("FAILED", True, False, False),
        ("CANCEL", True, False, True),
        ("CANCELLED", True, False, True),
        ("CANCELED", True, False, True),
        ("QUEUED", False, False, False),
        ("RUNNING", False, False, False),
        ("CREATE", False, False, False),
        ("PENDING", False, False, False),
        ("SOMETHING_NEW", False, False, False),
        ("", False, False, False),
    ],
)
def test_a_snapshot_tells_from_the_servers_word_how_the_job_stands(
    status: str, settled: bool, succeeded: bool, cancelled: bool
) -> None:
    snapshot = Snapshot(task_id=TASK, status=status)
    assert (snapshot.settled, snapshot.succeeded, snapshot.cancelled) == (settled, succeeded, cancelled)


def test_no_status_word_means_two_things() -> None:
    assert {*SUCCEEDED, *FAILED, *CANCELLED} == SETTLED
    assert len(SETTLED) == len(SUCCEEDED) + len(FAILED) + len(CANCELLED)
    assert not SETTLED & IN_FLIGHT


NOUNS: list[AttrsInstance] = [
    Output(url="https://example.test/a.mp4", type="mp4"),
    Usage(money=Decimal("8.1"), currency="CNY"),
    Snapshot(task_id=TASK, status="RUNNING", outputs=(Output(text="a"),), raw=b"{}"),
    Result(
        task_id=TASK,
        outputs=(),
        usage=Usage(),
        noticed_utc=datetime(2026, 1, 1, tzinfo=UTC),
        paths=(Path("out.mp4"),),
    ),
    Upload(file_name="openapi/a.png", url="https://example.test/a.png?q-signature=s", sha256="ab", size=2),
    Account(key_type="SHARED", limit=30),
]


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: type(noun).__name__)
def test_a_noun_can_be_hashed_and_never_changed(noun: AttrsInstance) -> None:
    assert len({noun, noun}) == 1
    name = next(iter(asdict(noun, recurse=False)))
    with pytest.raises(exceptions.FrozenInstanceError):
        setattr(noun, name, None)


def test_equal_facts_make_equal_nouns() -> None:
    assert Usage(money=Decimal("1.0")) == Usage(money=Decimal(1))
    assert Output(url="a") != Output(url="b")


def test_what_an_upload_prints_leaves_its_signed_link_out() -> None:
    shown = repr(Upload(file_name="openapi/a.png", url="https://example.test/a.png?q-signature=secret"))
    assert "openapi/a.png" in shown
    assert "secret" not in shown


def test_what_a_snapshot_or_a_result_prints_leaves_the_body_out() -> None:
    snapshot = Snapshot(task_id=TASK, status="RUNNING", raw=b"a long body")
    result = Result(
        task_id=TASK, outputs=(), usage=Usage(), noticed_utc=datetime(2026, 1, 1, tzinfo=UTC), raw=b"a long body"
    )
    assert TASK in repr(snapshot)
    assert TASK in repr(result)
    assert "a long body" not in repr(snapshot) + repr(result)


def test_what_the_server_did_not_say_is_absent() -> None:
    assert Usage() == Usage(money=None, currency=None, coins=None, seconds=None)
    assert Account() == Account(
        key_type=None, limit=None, running=None, queued=None, money=None, currency=None, coins=None
    )
    assert Output() == Output(url=None, type="", node_id=None, text=None)
    assert Snapshot(task_id=TASK, status="") == Snapshot(
        task_id=TASK, status="", code="", message="", outputs=(), usage=Usage(), raw=b""
    )
