"""A budget is never passed, across runs, and what cannot be known counts as spent."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve

from rh_async import BudgetReached, ConfigurationError, ModelRequest, Plan, Usage
from rh_async._batch import Price
from rh_async._batch._money import Money
from rh_async.emulator import Emulator, Fault
from tests.batch.running import opened, plan_of, product, run, states

CNY = Price(Decimal("1.50"), "CNY")


def told(money: str | None, currency: str | None = None) -> Usage:
    return Usage(money=None if money is None else Decimal(money), currency=currency)


def test_a_price_is_reserved_until_the_result_says_what_it_cost() -> None:
    money = Money(currency="CNY", budget=Decimal(3))
    money.reserve("a", CNY)
    assert (money.spent, money.reserved) == (Decimal(), Decimal("1.50"))
    money.settle("a", told("1.20"))
    assert (money.spent, money.reserved) == (Decimal("1.20"), Decimal())
    assert money.covers(CNY)
    money.reserve("b", CNY)
    assert not money.covers(CNY)
    money.release("b")
    assert money.covers(CNY)


@pytest.mark.parametrize("usage", [told(None), told("0.20", "USD")])
def test_what_cannot_be_compared_stays_reserved(usage: Usage) -> None:
    money = Money(currency="CNY", budget=Decimal(3))
    money.reserve("a", CNY)
    money.settle("a", usage)
    assert (money.spent, money.reserved) == (Decimal(), Decimal("1.50"))


@pytest.mark.parametrize("price", [None, Price(Decimal(1), "USD")])
def test_without_a_comparable_price_a_budget_covers_nothing(price: Price | None) -> None:
    assert not Money(currency="CNY", budget=Decimal(100)).knows(price)
    assert Money(currency="CNY").knows(price)


def test_a_second_reservation_under_one_name_counts_once() -> None:
    money = Money(currency="CNY")
    money.reserve("a", CNY)
    money.reserve("a", CNY)
    assert money.reserved == Decimal("1.50")


def whole(plan: Plan) -> Decimal:
    return plan.total["CNY"]


async def test_a_budget_is_never_passed_and_a_larger_one_continues(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)  # 3 × (0.96 + 1.28 + 1.60)
    async with Emulator(seed=1) as server:
        async with opened(server, tmp_path, in_flight=2) as session:
            batch = session.batch(plan, tmp_path / "out", budget=5)
            outcomes = [outcome async for outcome in batch]
            assert isinstance(batch.stopped, BudgetReached)
            standing = batch.standing()
        assert Decimal("3.4") < server.ledger.money <= 5
        assert standing.spent == server.ledger.money
        assert standing.reserved == 0
        assert set(states(outcomes)) == {"saved", "withheld"}
        assert {outcome.cause for outcome in outcomes} == {None}
        bought = len(server.ledger.tasks)
        again = states(await run(server, tmp_path, plan, budget=5))
        assert again["kept"] == bought
        assert server.ledger.money <= 5  # a cheaper job may still fit where a dearer one did not
        bought = len(server.ledger.tasks)
        assert len(server.ledger.submissions) == bought == again["kept"] + again.get("saved", 0)
        assert states(await run(server, tmp_path, plan, budget=100)) == {"kept": bought, "saved": 9 - bought}
        assert server.ledger.money == whole(plan)


async def test_a_budget_that_covers_all_to_the_last_cent_stops_nothing(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        outcomes = await run(server, tmp_path, plan, budget=whole(plan))
        assert states(outcomes) == {"saved": 9}


async def test_what_earlier_runs_bought_counts_before_anything_is_bought_in_another_order(
    stock: Path, tmp_path: Path
) -> None:
    plan = await product(stock)
    turned = evolve(plan, entries=tuple(Random(3).sample(plan.entries, 9)))
    async with Emulator(seed=1) as server:
        await run(server, tmp_path, plan, budget=5)
        bought = len(server.ledger.tasks)
        outcomes = await run(server, tmp_path, turned, budget=5)
        assert 0 < server.ledger.money <= 5  # a cheaper job may still fit where a dearer one did not
        assert states(outcomes)["kept"] == bought


async def test_a_submit_of_unknown_fate_counts_as_spent(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("drop_unread"))
        for _ in range(2):
            outcomes = await run(server, tmp_path, plan, budget=5)
            assert states(outcomes)["uncertain"] == 1
            lost = next(outcome.entry.price for outcome in outcomes if outcome.state == "uncertain")
            assert lost is not None
            assert server.ledger.money + lost.amount <= 5


async def test_a_refusal_gives_its_reservation_back(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server:
        server.faults.add(Fault("code", code="1501"))
        async with opened(server, tmp_path, in_flight=1) as session:
            batch = session.batch(plan, tmp_path / "out", budget=whole(plan))
            assert states([outcome async for outcome in batch]) == {"refused": 1, "saved": 8}
            assert batch.standing().reserved == 0
            assert batch.standing().spent == server.ledger.money


async def test_a_job_without_a_known_price_is_withheld_by_a_budget_alone(tmp_path: Path) -> None:
    requests = [ModelRequest("bench/motion", {"seed": number}) for number in range(3)]
    plan = plan_of(requests)
    priced = evolve(plan, entries=(*plan.entries[:2], evolve(plan.entries[2], price=CNY)))
    async with Emulator(seed=1) as server:
        outcomes = await run(server, tmp_path, priced, budget=10)
        assert states(outcomes) == {"withheld": 2, "saved": 1}
        assert all("unknown" in str(outcome.error) for outcome in outcomes if outcome.state == "withheld")
        assert len(server.ledger.tasks) == 1
        assert states(await run(server, tmp_path, priced)) == {"kept": 1, "saved": 2}


@pytest.mark.parametrize("budget", [-1, float("nan"), float("inf")])
async def test_a_budget_is_an_amount(tmp_path: Path, budget: float) -> None:
    async with Emulator(seed=1) as server, opened(server, tmp_path) as session:
        with pytest.raises(ConfigurationError, match="budget"):
            session.batch(plan_of([]), tmp_path / "out", budget=budget)


async def test_the_servers_own_price_is_asked_without_buying_anything(stock: Path, tmp_path: Path) -> None:
    plan = await product(stock)
    async with Emulator(seed=1) as server, opened(server, tmp_path) as session:
        for entry in plan.ready:
            assert entry.request is not None
            assert await session.price(entry.request) == entry.price
        assert [question.kind for question in server.ledger.questions].count("price") == 9
        assert server.ledger.submissions == []
        assert len(server.ledger.uploads) == 6


@pytest.mark.parametrize("budget", ["abc", True, "", -1, float("nan")])
async def test_a_budget_that_is_no_amount_is_refused(budget: Any, tmp_path: Path) -> None:
    async with Emulator(seed=1) as server, opened(server, tmp_path) as session:
        with pytest.raises(ConfigurationError, match="must be an amount of money"):
            session.batch(plan_of([]), tmp_path / "out", budget=budget)
