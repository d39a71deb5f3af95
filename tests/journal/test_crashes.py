"""A crash before and after every move, under every kind of fault of the submit route: bought once, and never lost.

The session is killed at its journal's first change, then at its second, and so on until it comes through alive; each
time another one comes back to the same journal and wants the same keys. The ledger and the journal are compared.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import count
from pathlib import Path

import pytest
from attrs import frozen

from benchmarks._batch import key_of, request_of
from rh_async import ApiError, Session, SubmitUnknown
from rh_async._journal.records import TRANSITIONS, SubmissionState
from rh_async.emulator import Emulator, Fault
from tests.journal.killing import Row, SessionKiller, bury, journal_of, rows_of

Open = Callable[[Path], Session]

ALWAYS = {"→claimed", "claimed→submitting", "submitting→submitted", "submitted→settled", "settled→saved"}
LATER = {"uncertain→submitted", "uncertain→abandoned", "submitted→lost", "lost→submitted"}
FOR_NOW, FINAL, UNKNOWN = "submitting→claimed", "submitting→refused", "submitting→uncertain"


@frozen
class Case:
    """A fault that strikes the first of two submits, and a move that it leads to."""

    fault: Fault
    move: str

    def __str__(self) -> str:
        return "-".join(filter(None, [self.fault.kind, self.fault.code, "accepted" if self.fault.accepted else ""]))


CASES = [
    Case(Fault("slow_response", seconds=20), "submitting→submitted"),
    Case(Fault("success_on_submit"), "submitted→settled"),
    Case(Fault("error_with_task"), "submitting→submitted"),
    Case(Fault("refuse_connections", seconds=5), FOR_NOW),
    Case(Fault("error_code", code="421"), FOR_NOW),
    Case(Fault("http_429"), FOR_NOW),
    Case(Fault("error_with_unknown_task"), FOR_NOW),
    Case(Fault("error_code", code="812"), FINAL),
    Case(Fault("drop_before_body"), UNKNOWN),
    Case(Fault("drop_after_accept"), UNKNOWN),
    Case(Fault("hang"), UNKNOWN),
    Case(Fault("hang", accepted=True), UNKNOWN),
    Case(Fault("gateway_502"), UNKNOWN),
    Case(Fault("error_code", code="1005"), UNKNOWN),
    Case(Fault("invalid_body"), UNKNOWN),
    Case(Fault("drop_mid_response"), UNKNOWN),
    Case(Fault("redirect_307"), UNKNOWN),
    Case(Fault("json_5xx"), UNKNOWN),
    Case(Fault("empty_body"), UNKNOWN),
    Case(Fault("oversized_body", size=5 << 20), UNKNOWN),
    Case(Fault("error_code", code="4242"), UNKNOWN),  # an undocumented code: it may have been billed
    Case(Fault("error_code", code="1010"), FOR_NOW),
    Case(Fault("error_code", code="1007"), FINAL),
    Case(Fault("error_code", code="806"), FINAL),
]


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> SessionKiller:
    killer = SessionKiller()
    killer.watch(monkeypatch)
    return killer


@pytest.fixture
async def server() -> AsyncIterator[Emulator]:
    """One whose tasks are over after the first few questions."""
    async with Emulator(seed=1, run_time=4.0) as server:
        yield server


@pytest.fixture
def open_on(server: Emulator) -> Open:
    return lambda journal_path: Session(server.api_key, base_url=server.url, journal=journal_path)


def test_the_crashes_cover_every_transition() -> None:
    met = ALWAYS | {case.move for case in CASES} | LATER
    assert {f"{now}→{to}" for now, moves in TRANSITIONS.items() for to in moves} <= met


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_crash_at_any_transition_buys_nothing_twice_and_loses_nothing(
    case: Case, after: bool, killer: SessionKiller, server: Emulator, open_on: Open, tmp_path: Path
) -> None:
    for number in count(1):
        journal_path, keys = tmp_path / f"{number}.db", (f"{number}-a", f"{number}-b")
        server.faults.clear()
        server.faults.add(case.fault)
        killed = await _lives_until(open_on(journal_path), killer, number, keys, tmp_path, after=after)
        ends = await _comes_back(open_on(journal_path), keys, tmp_path)
        _adds_up(server, journal_path, ends, {killed})
        if not killed:
            break
    assert ALWAYS | {case.move} <= killer.met


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("left", "then"),
    [("claimed→submitting", UNKNOWN), ("submitting→submitted", "take_over"), ("submitted→settled", "settled→saved")],
)
async def test_a_crash_during_recovery_from_a_crash_buys_nothing_twice_and_loses_nothing(
    left: str, then: str, after: bool, killer: SessionKiller, server: Emulator, open_on: Open, tmp_path: Path
) -> None:
    for number in count(1):
        journal_path, keys = tmp_path / f"{number}.db", (f"{number}-a", f"{number}-b")
        first = await _killed_after(left, open_on(journal_path), killer, keys, tmp_path)
        second = await _lives_until(open_on(journal_path), killer, number, keys, tmp_path, after=after)
        ends = await _comes_back(open_on(journal_path), keys, tmp_path)
        _adds_up(server, journal_path, ends, {first, second})
        if not second:
            break
    assert then in killer.met


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_while_an_uncertain_submit_is_confirmed_leaves_it_uncertain_or_submitted(
    after: bool, killer: SessionKiller, server: Emulator, open_on: Open, tmp_path: Path
) -> None:
    for number in count(1):
        journal_path, key = tmp_path / f"{number}.db", f"{number}-a"
        task_id = await _left_uncertain(server, open_on(journal_path), key)
        session = await _open(open_on(journal_path))
        killer.aim(session, number, after=after)
        killed = await _unless_killed(session, killer, [_adopted(session, key, task_id)])
        async with open_on(journal_path) as later:
            if await later.recovery.unconfirmed():
                await later.recovery.confirm(key, task_id=task_id)
            assert (await later.run(request_of(key), idempotency_key=key, output_dir=tmp_path)).task_id == task_id
        _adds_up(server, journal_path, {key: SubmissionState.SAVED}, {killed})
        if not killed:
            break
    assert {"uncertain→submitted", "take_over"} <= killer.met


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_while_an_uncertain_submit_is_discarded_leaves_it_uncertain_or_abandoned(
    after: bool, killer: SessionKiller, server: Emulator, open_on: Open, tmp_path: Path
) -> None:
    for number in (1, 2):
        journal_path, key = tmp_path / f"{number}.db", f"{number}-a"
        await _left_uncertain(server, open_on(journal_path), key)
        session = await _open(open_on(journal_path))
        killer.aim(session, number, after=after)
        killed = await _unless_killed(session, killer, [session.recovery.discard(key)])
        assert bool(killed) is (number == 1)
        (row,) = rows_of(journal_path)
        assert row.state is (SubmissionState.UNCERTAIN if killed and not after else SubmissionState.ABANDONED)
        assert len([task for task in server.ledger.tasks if key_of(task.endpoint) == key]) == 1
    assert "uncertain→abandoned" in killer.met


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_while_a_task_is_lost_or_found_again_buys_nothing_twice_and_loses_nothing(
    after: bool, killer: SessionKiller, server: Emulator, open_on: Open, tmp_path: Path
) -> None:
    for number in count(1):
        journal_path, keys = tmp_path / f"{number}.db", (f"{number}-a", f"{number}-b")
        server.faults.add(Fault("error_code", route="query", code="1004", times=None))
        first = await _lives_until(open_on(journal_path), killer, number, keys, tmp_path, after=after)
        server.faults.clear()
        second = await _lives_until(open_on(journal_path), killer, number, keys, tmp_path, after=after)
        ends = await _comes_back(open_on(journal_path), keys, tmp_path)
        _adds_up(server, journal_path, ends, {first, second})
        if not first and not second:
            break
    assert {"submitted→lost", "lost→submitted"} <= killer.met


# --- lives -----------------------------------------------------------------------------------------------------------


async def _open(session: Session) -> Session:
    return await session.__aenter__()


async def _lives_until(
    session: Session, killer: SessionKiller, number: int, keys: Iterable[str], folder: Path, *, after: bool
) -> str:
    """Want every key, and be killed at the nth change on the way; the dead session's name, "" if it came through."""
    await _open(session)
    killer.aim(session, number, after=after)
    return await _unless_killed(session, killer, [_wanted(session, keys, folder)])


async def _killed_after(move: str, session: Session, killer: SessionKiller, keys: Iterable[str], folder: Path) -> str:
    """Want every key, and be killed once one has made a move; the dead session's name."""
    await _open(session)
    killer.aim(session, 1, after=True, move=move)
    killed = await _unless_killed(session, killer, [_wanted(session, keys, folder)])
    assert killed
    return killed


async def _unless_killed(session: Session, killer: SessionKiller, calls: Iterable[Awaitable[object]]) -> str:
    """Let calls of a session go on until they are over, or it is dead."""
    calling = asyncio.ensure_future(_over(calls))
    dying = asyncio.ensure_future(killer.died.wait())
    await asyncio.wait([calling, dying], return_when=asyncio.FIRST_COMPLETED)
    dying.cancel()
    if not killer.struck:
        await session.__aexit__(None, None, None)
        return ""
    await _ended(session, calling)
    return journal_of(session).owner


async def _over(calls: Iterable[Awaitable[object]]) -> None:
    await asyncio.gather(*calls, return_exceptions=True)


async def _ended(session: Session, calling: asyncio.Future[None]) -> None:
    calling.cancel()
    await asyncio.wait({calling})
    await bury(session)


async def _wanted(session: Session, keys: Iterable[str], folder: Path) -> dict[str, SubmissionState]:
    await session.recovery.resume()
    ends = await asyncio.gather(*(_end_of(session, key, folder) for key in keys))
    return dict(zip(keys, ends, strict=True))


async def _end_of(session: Session, key: str, folder: Path) -> SubmissionState:
    """Run one key; what was refused for good is wanted once more."""
    for _ in range(2):
        try:
            assert (await session.run(request_of(key), idempotency_key=key, output_dir=folder)).paths
        except SubmitUnknown:
            return SubmissionState.UNCERTAIN
        except ApiError:
            continue
        else:
            return SubmissionState.SAVED
    return SubmissionState.REFUSED


async def _comes_back(session: Session, keys: Iterable[str], folder: Path) -> dict[str, SubmissionState]:
    async with session:
        return await _wanted(session, keys, folder)


async def _left_uncertain(server: Emulator, session: Session, key: str) -> str:
    """Leave a key uncertain that was bought; the task."""
    server.faults.add(Fault("drop_after_accept"))
    async with session:
        with pytest.raises(SubmitUnknown):
            await session.run(request_of(key), idempotency_key=key)
    return server.ledger.tasks[-1].task_id


async def _adopted(session: Session, key: str, task_id: str) -> None:
    await (await session.recovery.confirm(key, task_id=task_id))


# --- the sum ---------------------------------------------------------------------------------------------------------


def _adds_up(server: Emulator, journal_path: Path, ends: dict[str, SubmissionState], killed: set[str]) -> None:
    """No key has two tasks, every task is a row's or in doubt, and what is not in doubt is saved."""
    tasks = [(key_of(task.endpoint), task.task_id) for task in server.ledger.tasks]
    bought = Counter(key for key, _ in tasks if key in ends)
    rows = rows_of(journal_path)
    last = {row.key: row for row in rows}
    assert all(number == 1 for number in bought.values())
    assert {row.task_id for row in rows if row.task_id} <= {task_id for _, task_id in tasks}
    for key, task_id in tasks:
        assert (
            key not in ends or task_id in {row.task_id for row in rows} or last[key].state is SubmissionState.UNCERTAIN
        )
    assert {key: row.state for key, row in last.items()} == ends
    assert set(ends.values()) <= {SubmissionState.SAVED, SubmissionState.UNCERTAIN}
    for row in rows:
        assert row.state is not SubmissionState.UNCERTAIN or row.owner in killed or _ambiguous(server, row)


def _ambiguous(server: Emulator, row: Row) -> bool:
    """Whether the ledger has a submit of the row's key that a fault left without an answer one can believe."""
    kinds = {case.fault.kind for case in CASES if case.move == UNKNOWN}
    return any(key_of(one.endpoint) == row.key and one.fault in kinds for one in server.ledger.submissions)
