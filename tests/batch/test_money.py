"""A budget is never exceeded, across runs, and a cost that is unknown counts by its price."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve

from rh_async import KlingMotionControl, ModelRequest, Usage
from rh_async._batch.costs.budget import BudgetTracker
from rh_async.batch import BatchOutcome, BatchProgress, Entry, Plan, Price
from rh_async.emulator import Emulator, Fault
from rh_async.errors import BudgetReached, ConfigurationError
from tests.batch.running import lines, opened, plan_of, product, run, states

CNY = Price(Decimal("1.50"), "CNY")


def usage_of(money: str | None, currency: str | None = None) -> Usage:
    return Usage(money=None if money is None else Decimal(money), currency=currency)


def sums(it: BudgetTracker | BatchProgress) -> tuple[Any, Any, Any, Any]:
    """Return what is spent by this run, by earlier runs, reserved, and maybe billed."""
    return it.spent, it.spent_earlier, it.reserved, it.maybe_billed


def sums_of(*amounts: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, amounts))


def test_a_price_is_reserved_until_the_result_states_the_cost() -> None:
    tracker = BudgetTracker(currency="CNY", budget=Decimal(3))
    tracker.reserve("a", CNY)
    assert (tracker.spent, tracker.reserved) == (Decimal(), Decimal("1.50"))
    tracker.settle("a", usage_of("1.20"))
    assert (tracker.spent, tracker.reserved) == (Decimal("1.20"), Decimal())
    assert tracker.covers(CNY)
    tracker.reserve("b", CNY)
    assert not tracker.covers(CNY)
    tracker.release("b")
    assert tracker.covers(CNY)


INCREDIBLE = ["-1", "1E-99999999", "1E400", "NaN", "Infinity", "1000001"]


@pytest.mark.parametrize("usage", [usage_of(None), usage_of("0.20", "USD"), *map(usage_of, INCREDIBLE)], ids=repr)
def test_a_cost_that_is_missing_incredible_or_in_another_currency_counts_by_its_price(usage: Usage) -> None:
    tracker = BudgetTracker(currency="CNY", budget=Decimal(3))
    for name in ("a", "b"):
        tracker.reserve(name, CNY)
    tracker.settle("a", usage)
    assert sums(tracker) == sums_of("0", "0", "1.50", "1.50")
    assert tracker.maybe_billed_jobs == 1
    assert not tracker.covers(CNY)
    assert tracker.close("a").maybe_billed == CNY
    assert len(tracker.describe_exhausted(CNY)) < 200


def test_this_runs_and_earlier_runs_costs_are_kept_apart_and_both_count_against_the_budget() -> None:
    tracker = BudgetTracker(currency="CNY", budget=Decimal(4))
    tracker.reserve("mine", CNY)
    tracker.reserve("theirs", CNY, earlier=True)
    tracker.settle("mine", usage_of("1.20"))
    tracker.settle("theirs", usage_of("1.40"))
    assert sums(tracker) == (Decimal("1.20"), Decimal("1.40"), 0, 0)
    assert not tracker.covers(CNY)
    assert tracker.close("mine").spent == Price(Decimal("1.20"), "CNY")
    assert tracker.close("theirs").spent_earlier == Price(Decimal("1.40"), "CNY")


def test_a_cost_that_is_stated_late_replaces_the_price_that_may_have_been_billed() -> None:
    tracker = BudgetTracker(currency="CNY")
    tracker.reserve("a", CNY)
    tracker.mark_maybe_billed("a")
    tracker.settle("a", usage_of("1.20"))
    assert sums(tracker) == sums_of("1.20", "0", "0", "0")
    assert tracker.maybe_billed_jobs == 0


@pytest.mark.parametrize("later", ["release", "mark_maybe_billed", "settle", "reserve"])
def test_a_stated_cost_is_counted_once_whatever_is_booked_later(later: str) -> None:
    tracker = BudgetTracker(currency="CNY", budget=Decimal(10))
    tracker.reserve("paid", CNY)
    tracker.reserve("under way", CNY)
    tracker.settle("paid", usage_of("1.20"))
    before = sums_of("1.20", "0", "1.50", "0")
    if later == "release":
        tracker.release("paid")
    elif later == "mark_maybe_billed":
        tracker.mark_maybe_billed("paid")
    elif later == "settle":
        tracker.settle("paid", usage_of("1.20"))
    else:
        tracker.reserve("paid", CNY)  # submitted once more
        before = sums_of("1.20", "0", "3.00", "0")
    assert sums(tracker) == before
    assert tracker.maybe_billed_jobs == 0


def test_a_currency_is_changed_only_before_anything_is_counted() -> None:
    tracker = BudgetTracker(currency="CNY", certain=False, budget=Decimal(2))
    tracker.set_currency("USD")
    assert (tracker.currency, tracker.certain) == ("USD", True)
    tracker.reserve("a", Price(Decimal("1.50"), "USD"))
    tracker.set_currency("CNY")
    assert tracker.currency == "USD"
    assert not tracker.covers(Price(Decimal("1.50"), "USD"))


@pytest.mark.parametrize("later", ["mark_maybe_billed", "release"])
def test_a_price_that_may_have_been_billed_counts_once_until_it_is_released(later: str) -> None:
    tracker = BudgetTracker(currency="CNY")
    tracker.reserve("a", CNY)
    tracker.mark_maybe_billed("a")
    getattr(tracker, later)("a")
    assert sums(tracker) == sums_of("0", "0", "0", "1.50" if later == "mark_maybe_billed" else "0")
    assert tracker.maybe_billed_jobs == (later == "mark_maybe_billed")


@pytest.mark.parametrize("price", [None, Price(Decimal(1), "USD")])
def test_without_a_comparable_price_a_budget_covers_nothing(price: Price | None) -> None:
    assert not BudgetTracker(currency="CNY", budget=Decimal(100)).can_compare(price)
    assert BudgetTracker(currency="CNY").can_compare(price)


def test_a_second_reservation_under_one_charge_id_counts_once() -> None:
    tracker = BudgetTracker(currency="CNY")
    tracker.reserve("a", CNY)
    tracker.reserve("a", CNY)
    assert tracker.reserved == Decimal("1.50")


def whole(plan: Plan) -> Decimal:
    return plan.total["CNY"]


async def test_a_budget_is_never_exceeded_and_a_larger_one_continues(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)  # 3 × (0.96 + 1.28 + 1.60)
    async with Emulator(seed=1) as server:
        async with opened(server, tmp_path, in_flight=2) as session:
            batch = session.batch(plan, tmp_path / "out", budget=5)
            outcomes = [outcome async for outcome in batch]
            assert isinstance(batch.stopped, BudgetReached)
            progress = batch.progress()
        assert Decimal("3.4") < server.ledger.total_charged <= 5
        assert progress.spent == server.ledger.total_charged
        assert progress.reserved == 0
        assert set(states(outcomes)) == {"saved", "skipped"}
        assert {outcome.cause for outcome in outcomes} == {None}
        submitted = len(server.ledger.tasks)
        again = states(await run(server, tmp_path, plan, budget=5))
        assert again["already_done"] == submitted
        assert server.ledger.total_charged <= 5  # a cheaper job may still fit where a dearer one did not
        submitted = len(server.ledger.tasks)
        assert len(server.ledger.submissions) == submitted == again["already_done"] + again.get("saved", 0)
        assert states(await run(server, tmp_path, plan, budget=100)) == {
            "already_done": submitted,
            "saved": 9 - submitted,
        }
        assert server.ledger.total_charged == whole(plan)


async def test_a_budget_that_covers_all_to_the_last_cent_stops_nothing(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        outcomes = await run(server, tmp_path, plan, budget=whole(plan))
        assert states(outcomes) == {"saved": 9}


async def test_jobs_of_earlier_runs_count_against_the_budget_before_the_first_submit_in_another_order(
    stock: Path, tmp_path: Path
) -> None:
    plan = await product(stock)
    reordered = evolve(plan, entries=tuple(Random(3).sample(plan.entries, 9)))
    async with Emulator(seed=1) as server:
        await run(server, tmp_path, plan, budget=5)
        submitted = len(server.ledger.tasks)
        outcomes = await run(server, tmp_path, reordered, budget=5)
        assert 0 < server.ledger.total_charged <= 5  # a cheaper job may still fit where a dearer one did not
        assert states(outcomes)["already_done"] == submitted


async def test_an_unconfirmed_submit_counts_against_the_budget(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("drop_before_body"))
        for _ in range(2):
            outcomes = await run(server, tmp_path, plan, budget=5)
            assert states(outcomes)["unconfirmed"] == 1
            lost = next(outcome.entry.price for outcome in outcomes if outcome.state == "unconfirmed")
            assert lost is not None
            assert server.ledger.total_charged + lost.amount <= 5


async def test_a_discarded_submit_no_longer_counts_and_is_submitted_again_only_within_the_budget(
    stock: Path, tmp_path: Path
) -> None:
    plan = await product(stock)
    plan = evolve(plan, entries=plan.entries[:1])
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("drop_before_body"))
        assert states(await run(server, tmp_path, plan, budget=5)) == {"unconfirmed": 1}
        async with opened(server, tmp_path) as session:
            (unknown,) = await session.recovery.unconfirmed()
            await session.recovery.discard(unknown.key)
        assert states(await run(server, tmp_path, plan, budget=Decimal("0.01"))) == {"skipped": 1}
        assert len(server.ledger.submissions) == 1
        async with opened(server, tmp_path) as session:
            batch = session.batch(plan, tmp_path / "out", budget=whole(plan))
            assert states([outcome async for outcome in batch]) == {"saved": 1}
            progress = batch.progress()
    assert (progress.spent_earlier, progress.reserved, progress.maybe_billed) == sums_of("0", "0", "0")


async def test_a_rejected_submit_releases_its_reservation(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("error_code", code="1501"))
        async with opened(server, tmp_path, in_flight=1) as session:
            batch = session.batch(plan, tmp_path / "out", budget=whole(plan))
            assert states([outcome async for outcome in batch]) == {"rejected": 1, "saved": 8}
            assert batch.progress().reserved == 0
            assert batch.progress().spent == server.ledger.total_charged


async def test_a_job_without_a_known_price_is_skipped_under_a_budget_alone(tmp_path: Path) -> None:
    requests = [ModelRequest("bench/motion", {"seed": number}) for number in range(3)]
    plan = plan_of(requests)
    priced = evolve(plan, entries=(*plan.entries[:2], evolve(plan.entries[2], price=CNY)))
    async with Emulator(seed=1) as server:
        outcomes = await run(server, tmp_path, priced, budget=10)
        assert states(outcomes) == {"skipped": 2, "saved": 1}
        assert all("unknown" in str(outcome.error) for outcome in outcomes if outcome.state == "skipped")
        assert len(server.ledger.tasks) == 1
        assert states(await run(server, tmp_path, priced)) == {"already_done": 1, "saved": 2}


@pytest.mark.parametrize("budget", [-1, float("nan"), float("inf")])
async def test_a_budget_is_an_amount(tmp_path: Path, budget: float) -> None:
    async with Emulator(seed=1) as server, opened(server, tmp_path) as session:
        with pytest.raises(ConfigurationError, match="budget"):
            session.batch(plan_of([]), tmp_path / "out", budget=budget)


async def test_the_servers_own_price_is_queried_without_a_submit(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server, opened(server, tmp_path) as session:
        for entry in plan.ready:
            assert entry.request is not None
            assert await session.price(entry.request) == entry.price
        assert [call.kind for call in server.ledger.calls].count("price") == 9
        assert server.ledger.submissions == []
        assert len(server.ledger.uploads) == 6


@pytest.mark.parametrize("budget", ["abc", True, "", -1, float("nan")])
async def test_a_budget_that_is_no_amount_is_rejected(budget: Any, tmp_path: Path) -> None:
    async with Emulator(seed=1) as server, opened(server, tmp_path) as session:
        with pytest.raises(ConfigurationError, match="must be an amount of money"):
            session.batch(plan_of([]), tmp_path / "out", budget=budget)


# --- reported costs -------------------------------------------------------------------------------------------------


async def ended(server: Emulator, folder: Path, plan: Plan, **how: Any) -> tuple[list[BatchOutcome], BatchProgress]:
    """Run a plan to its end; return the outcomes and the last progress."""
    async with opened(server, folder) as session:
        batch = session.batch(plan, folder / "out", **how)
        return [outcome async for outcome in batch], batch.progress()


async def test_costs_of_this_run_and_of_earlier_ones_are_reported_apart(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        outcomes, first = await ended(server, tmp_path, evolve(plan, entries=plan.entries[:4]))
        spent = server.ledger.total_charged
        assert sums(first) == (spent, 0, 0, 0)
        assert sum(outcome.cost.spent.amount for outcome in outcomes if outcome.cost.spent) == spent
        outcomes, second = await ended(server, tmp_path, plan)
        assert sums(second) == (server.ledger.total_charged - spent, spent, 0, 0)
        assert second.maybe_billed_jobs == 0
        earlier = [outcome.cost.spent_earlier for outcome in outcomes if outcome.state == "already_done"]
        assert sum(price.amount for price in earlier if price) == spent


async def test_an_ended_batch_has_nothing_reserved_and_an_unconfirmed_submit_may_be_billed(
    stock: Path, tmp_path: Path
) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("drop_after_accept", nth=4))
        outcomes, progress = await ended(server, tmp_path, plan)
        (lost,) = (outcome for outcome in outcomes if outcome.state == "unconfirmed")
        assert lost.entry.price is not None
        assert lost.cost.maybe_billed == lost.entry.price
        assert sums(progress) == (server.ledger.total_charged - lost.entry.price.amount, 0, 0, lost.entry.price.amount)
        assert progress.maybe_billed_jobs == 1
        _, again = await ended(server, tmp_path, plan)
        assert sums(again) == (0, progress.spent, 0, lost.entry.price.amount)


@pytest.mark.parametrize("money", ["-1", "1E-99999999", "1E400", "NaN"])
async def test_an_incredible_cost_spoils_no_budget_and_floods_no_line(
    stock: Path, tmp_path: Path, money: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = await product(stock)
    for handlers in ("task_handlers", "account_handlers"):
        monkeypatch.setattr(f"rh_async.emulator.http.{handlers}.format_amount", lambda _: money)
    async with Emulator(seed=1) as server:
        outcomes, progress = await ended(server, tmp_path, plan, budget=5)
        assert 0 < sum(task.charged for task in server.ledger.tasks) <= 5
        assert sums(progress) == (0, 0, 0, progress.maybe_billed)
        assert 0 < progress.maybe_billed <= 5
        assert set(states(outcomes)) == {"saved", "skipped"}
        await ended(server, tmp_path, plan, budget=5)
        assert sum(task.charged for task in server.ledger.tasks) <= 5
    for path in (tmp_path / "out").glob("*.json*"):
        assert path.stat().st_size < 20_000
    assert {line["money"] for line in lines(tmp_path)} == {None}


# --- the server's own price, in the account's currency ---------------------------------------------------------------


def overseas() -> Emulator:
    """Make a site that bills in dollars."""
    return Emulator(seed=1, currency="USD", exchange_rate=Decimal("0.14"))


async def test_a_budget_is_in_the_accounts_currency_and_one_price_per_group_is_queried(
    stock: Path, tmp_path: Path
) -> None:
    plan = await product(stock)
    unpriced = [evolve(entry, request=KlingMotionControl(*_files(entry)), price=None) for entry in plan.entries[:1]]
    async with overseas() as server:
        outcomes, progress = await ended(server, tmp_path, plan, budget=Decimal("0.70"))
        assert 0 < server.ledger.total_charged <= Decimal("0.70")
        assert progress.currency == "USD"
        assert progress.spent == server.ledger.total_charged
        assert set(states(outcomes)) == {"saved", "skipped"}
        assert [call.kind for call in server.ledger.calls].count("price") == 1
        whole_price = plan.total["CNY"] * Decimal("0.14")
        outcomes, progress = await ended(server, tmp_path, plan, budget=whole_price)
        assert server.ledger.total_charged == whole_price
        assert progress.spent + progress.spent_earlier == whole_price
        assert len(server.ledger.tasks) == 9
        await ended(server, tmp_path, Plan(entries=tuple(unpriced)), budget=100)
        assert len(server.ledger.tasks) == 10
        assert [call.kind for call in server.ledger.calls].count("price") == 3


def _files(entry: Entry) -> tuple[Any, Any]:
    return entry.characters[0], entry.clip


async def test_an_estimate_queries_few_prices_uploads_few_files_and_leaves_out_submitted_jobs(
    stock: Path, tmp_path: Path
) -> None:
    plan = await product(stock)
    async with overseas() as server:
        async with opened(server, tmp_path) as session:
            estimate = await session.batch(plan, tmp_path / "out").estimate()
            assert (estimate.jobs, estimate.currency, estimate.no_quote_reason) == (9, "USD", "")
            assert estimate.total == {"USD": plan.total["CNY"] * Decimal("0.14")}
            assert [call.kind for call in server.ledger.calls].count("price") == 1
            assert len(server.ledger.uploads) == 2
            assert server.ledger.submissions == []
        await run(server, tmp_path, evolve(plan, entries=plan.entries[:4]))
        async with opened(server, tmp_path) as session:
            batch = session.batch(plan, tmp_path / "out")
            left = await batch.estimate()
            before = server.ledger.total_charged
            assert states([outcome async for outcome in batch]) == {"already_done": 4, "saved": 5}
            assert left.jobs == 5
            assert left.total == {"USD": server.ledger.total_charged - before}


async def test_prices_of_two_currencies_are_never_compared(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with overseas() as server:
        server.faults.add(Fault("error_code", route="price", code="1501", times=None))
        outcomes, _ = await ended(server, tmp_path, plan, budget=1000)
        assert states(outcomes) == {"skipped": 9}
        assert all("CNY alone, and the budget is in USD" in str(outcome.error) for outcome in outcomes)
        assert server.ledger.submissions == []
        assert server.ledger.uploads  # the files of the entry whose price was queried


async def test_a_price_query_is_retried_until_the_network_is_back(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with overseas() as server:
        server.faults.add(Fault("refuse_connections", route="price", seconds=600.0))
        outcomes, progress = await ended(server, tmp_path, plan, budget=100)
        assert states(outcomes) == {"saved": 9}
        assert progress.spent == server.ledger.total_charged
