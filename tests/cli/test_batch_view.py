"""The live view of a batch fits its terminal, and leaves no number out."""

from __future__ import annotations

import re
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rh_async import TaskId
from rh_async._cli.output.batch_view import Meter, draw_batch
from rh_async.batch import Batch, BatchProgress, ErrorGroup, RunningJob
from tests.cli.conftest import printed, terminal

pytestmark = pytest.mark.quick

_PROGRESS = BatchProgress(
    planned=12345,
    waiting=10001,
    uploading=3,
    in_flight=1002,
    limit=1203,
    saving=14,
    saved=1205,
    already_done=106,
    failed=27,
    rejected=8,
    unconfirmed=9,
    save_failed=10,
    longest_running=(RunningJob(name="a clip × a hero", task_id=TaskId("2013508786111402977"), age=300.0, eta=100.0),),
    uploaded_bytes=0,
    downloaded_bytes=0,
    spent=Decimal("1234.56"),
    spent_earlier=Decimal("200.07"),
    reserved=Decimal("999.99"),
    maybe_billed=Decimal("5.25"),
    maybe_billed_jobs=2,
    currency="CNY",
    budget=Decimal(5000),
    errors=(ErrorGroup(kind="job failed (1501)", count=27, example="内容审核未通过" * 9),),
    time_left=(3600.0, 4000.0, 5000.0),
    phases=(),
    waiting_for=None,
)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 160])
def test_every_count_and_sum_is_shown_whole_at_any_width(width: int) -> None:
    console = terminal(width)
    batch = cast("Batch", SimpleNamespace(progress=lambda: _PROGRESS, stopped=None))
    console.print(draw_batch(batch, Meter(lambda: 0.0), console, idle_time=31.0))
    lines = printed(console).splitlines()
    fields = " ".join(" ".join(lines[: next(i for i, line in enumerate(lines) if "longest" in line)]).split())
    assert "…" not in fields
    counts: dict[str, Any] = {"waiting": 10001, "in flight": 1002, "already done": 106, "save failed": 10, "failed": 27}
    for name, count in counts.items():
        assert re.search(rf"\b{name} {count:,}", fields)
    for amount in ("CNY 1,234.56 spent", "200.07 by earlier runs", "5.25 maybe billed (2 jobs)", "budget 5,000.00"):
        assert amount in fields
    assert "nothing heard from the server for 31 s; it goes on by itself" in fields
    assert all(len(line.rstrip()) <= width for line in lines if line.isascii())
