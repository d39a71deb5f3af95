"""Every way to fail: one tree, as drawn; each carries facts, says what to do, and travels between processes."""

from __future__ import annotations

import inspect
import pickle
import re
import traceback
from typing import Any

import pytest

import rh_async
from rh_async import (
    ApiError,
    JobError,
    RHError,
    SaveError,
    Snapshot,
    SubmitUnknown,
    TaskId,
    TransportError,
    ValidationError,
    errors,
)
from rh_async.errors import (
    STORED_NAMES,
    AuthenticationFailed,
    BalanceExhausted,
    Blame,
    BudgetReached,
    InvalidResponse,
    JobCancelled,
    JobFailed,
    JobLost,
    JournalError,
    NotSent,
    RateLimited,
    ResponseLost,
    ServerFault,
    SessionError,
)

TASK = TaskId("2013508786110730241")
EVERY: list[type[RHError]] = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RHError) and kind is not RHError
]
ROOT: type[RHError] = RHError
LEAVES = [kind for kind in EVERY if not kind.__subclasses__()]
_BRANCH = re.compile(r"^    (?P<indent>(?:│   |    )*)(?:├── |└── )?(?P<name>[A-Z]\w+)(?: \((?P<builtin>\w+)\))?")


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """The tree of the module's docstring: each class with its parent and the builtin beside its name."""
    tree: dict[str, tuple[str | None, str | None]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").partition("::")[2].splitlines():
        if found := _BRANCH.match(line):
            depth = len(found["indent"]) // 4 + ("── " in line)
            above[depth:] = [found["name"]]
            tree[found["name"]] = (above[depth - 1] if depth else None, found["builtin"])
    return tree


def parents(kind: type[RHError]) -> tuple[str | None, str | None]:
    ours = [base.__name__ for base in kind.__bases__ if issubclass(base, RHError)]
    others = [base.__name__ for base in kind.__bases__ if not issubclass(base, RHError) and base is not Exception]
    assert len(ours) <= 1
    assert len(others) <= 1
    return (ours[0] if ours else None), (others[0] if others else None)


def make(kind: type[RHError]) -> RHError:
    """An error with as many facts as its class takes."""
    known = inspect.signature(kind).parameters
    facts: dict[str, Any] = {
        "phase": "submit",
        "code": "777",
        "task_id": TASK,
        "key": "clip 7",
        "maybe_billed": True,
        "snapshot": Snapshot(task_id=TASK, status="FAILED"),
        "body": b"<html>",
    }
    return kind("it went wrong", **{name: fact for name, fact in facts.items() if name in known})


def facts_of(error: RHError) -> dict[str, Any]:
    return {name: value for name, value in vars(error).items() if name != "__notes__"}


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    assert drawn() == {kind.__name__: parents(kind) for kind in (ROOT, *EVERY)}


def test_every_error_is_in_the_module_of_errors_and_the_families_are_at_the_top() -> None:
    kinds = {kind.__name__ for kind in (ROOT, *EVERY)}
    assert kinds <= vars(errors).keys()
    families = {
        "ValidationError",
        "TransportError",
        "ApiError",
        "SubmitUnknown",
        "JobError",
        "JournalError",
        "SaveError",
    }
    assert kinds & set(rh_async.__all__) == {"RHError", *families}


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_is_of_the_one_root(kind: type[RHError]) -> None:
    with pytest.raises(RHError) as caught:
        raise make(kind)
    assert type(caught.value) is kind


@pytest.mark.parametrize("kind", LEAVES)
def test_every_leaf_says_what_to_do_next(kind: type[RHError]) -> None:
    error = kind("it went wrong")
    assert error.advice.endswith(".")
    assert str(error) == f"it went wrong. {error.advice}"


@pytest.mark.parametrize("kind", LEAVES)
def test_every_class_has_a_sentence_of_its_own(kind: type[RHError]) -> None:
    assert "__doc__" in vars(kind)
    assert "advice" in vars(kind)


def test_what_is_known_of_task_and_key_stands_in_the_sentence() -> None:
    assert str(RHError("it went wrong", task_id=TASK, key="clip 7")) == f"it went wrong (task {TASK}, key clip 7)."
    assert str(RHError("it went wrong", task_id=TASK)) == f"it went wrong (task {TASK})."
    assert str(RHError("it went wrong", key="clip 7", advice="Do.")) == "it went wrong (key clip 7). Do."
    assert str(RHError("it went wrong")) == "it went wrong."


def test_a_sentence_ends_in_one_full_stop() -> None:
    assert str(ServerFault("the server said: Please retry later.", advice="")) == "the server said: Please retry later."


def test_an_advice_of_its_own_replaces_that_of_the_class() -> None:
    assert str(ServerFault("no", advice="Sleep.")) == "no. Sleep."


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_travels_between_processes_whole(kind: type[RHError]) -> None:
    error = make(kind).after([ResponseLost("first")])
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copied) is kind
    assert str(copied) == str(error)
    assert facts_of(copied).keys() == facts_of(error).keys()
    assert {**facts_of(copied), "earlier": ()} == {**facts_of(error), "earlier": ()}
    assert [str(failure) for failure in copied.earlier] == [str(failure) for failure in error.earlier]


@pytest.mark.parametrize("kind", EVERY)
def test_a_fresh_error_has_the_same_facts_and_its_own_traceback_and_notes(kind: type[RHError]) -> None:
    cause = OSError("below")
    error = make(kind).after([ResponseLost("first")])
    error.add_note("a note")
    with pytest.raises(kind):
        raise error from cause
    fresh = error.fresh()
    assert fresh is not error
    assert type(fresh) is kind
    assert facts_of(fresh) == facts_of(error)
    assert str(fresh) == str(error)
    assert fresh.__cause__ is cause
    assert fresh.__traceback__ is None
    fresh.add_note("a waiter's own")
    assert error.__notes__ == ["a note"]


def test_an_error_raised_freshly_many_times_grows_neither_traceback_nor_notes() -> None:
    error = JobFailed("it went wrong", task_id=TASK)
    lengths = set()
    for waiter in range(3):
        with pytest.raises(JobFailed) as caught:
            raise error.fresh()
        caught.value.add_note(f"waiter {waiter}")
        lengths.add((len(traceback.extract_tb(caught.value.__traceback__)), len(caught.value.__notes__)))
    assert len(lengths) == 1
    assert error.__traceback__ is None


def test_earlier_failures_are_remembered_oldest_first_and_none_are_to_begin_with() -> None:
    first, second = ResponseLost("first"), ResponseLost("second")
    assert ServerFault("alone").earlier == ()
    error = ServerFault("third")
    assert error.after([first, second]) is error
    assert error.earlier == (first, second)


def test_facts_that_were_not_given_are_those_of_the_class() -> None:
    plain = RHError("no")
    assert (plain.phase, plain.code, plain.task_id, plain.key) == ("", "", None, None)
    assert ServerFault("no").retryable
    assert not ServerFault("no", retryable=False).retryable
    assert JobFailed("no").maybe_billed
    assert not JobCancelled("no", maybe_billed=False).maybe_billed


RETRYABLE = {
    "TransportError",
    "NotSent",
    "ResponseLost",
    "OutOfResources",
    "InvalidResponse",
    "AtCapacity",
    "RateLimited",
    "ServerFault",
}
MAYBE_BILLED = {"SubmitUnknown", "JobFailed", "JobCancelled", "JobLost", "SaveError", "OutputRefused"}


@pytest.mark.parametrize("kind", EVERY)
def test_each_class_says_whether_to_repeat_and_whether_it_may_have_cost_money(kind: type[RHError]) -> None:
    error = kind("no")
    assert error.retryable == (kind.__name__ in RETRYABLE)
    assert error.maybe_billed == (kind.__name__ in MAYBE_BILLED)


def test_what_is_refused_here_is_a_value_error_and_a_silence_is_a_timeout() -> None:
    assert all(issubclass(kind, ValueError) for kind in EVERY if issubclass(kind, ValidationError))
    assert issubclass(ResponseLost, TimeoutError)
    assert issubclass(TransportError, ConnectionError)
    assert not issubclass(NotSent, TimeoutError)
    assert issubclass(SessionError, RuntimeError)
    assert issubclass(SaveError, OSError)


def test_nothing_the_server_said_is_a_value_error_of_ours() -> None:
    assert not any(issubclass(kind, ValueError) for kind in EVERY if issubclass(kind, ApiError | JobError))


def test_an_unreadable_answer_keeps_its_bytes_up_to_a_measure() -> None:
    assert InvalidResponse("?", body=b"x" * 100).body == b"x" * 100
    assert len(InvalidResponse("?", body=b"x" * 70_000).body) == 65_536


def test_a_job_error_keeps_the_last_answer_and_is_of_the_query() -> None:
    snapshot = Snapshot(task_id=TASK, status="FAILED", code="1501")
    error = JobFailed("no", task_id=TASK, snapshot=snapshot, code="1501")
    assert (error.snapshot, error.phase, error.code, error.task_id) == (snapshot, "query", "1501", TASK)
    assert JobLost("no").snapshot is None


def test_a_rate_limit_knows_no_wait_until_the_server_names_one() -> None:
    assert RateLimited("no").retry_after is None


def test_an_unknown_submit_warns_of_buying_twice() -> None:
    assert "second video" in str(SubmitUnknown("no"))


BLAMED: dict[Blame, str] = {
    "account": "AuthenticationFailed BalanceExhausted",
    "transient": "SessionError TransportError NotSent ResponseLost OutOfResources InvalidResponse SubmitUnknown"
    " AtCapacity RateLimited ServerFault",
    "local_io": "JournalError SaveError",
}
EXIT_CODES = {2: (ValidationError, JournalError), 3: (AuthenticationFailed, BalanceExhausted), 4: (BudgetReached,)}


@pytest.mark.parametrize("kind", EVERY)
def test_each_class_says_who_must_act(kind: type[RHError]) -> None:
    assert kind("no").blame == next((blame for blame, names in BLAMED.items() if kind.__name__ in names.split()), "job")


def test_an_error_that_may_be_repeated_only_needs_time_unless_its_class_says_otherwise() -> None:
    assert ApiError("no", retryable=True).blame == "transient"
    assert JournalError("no", retryable=True).blame == "local_io"
    assert JobFailed("no", may_resubmit=True).blame == "transient"


@pytest.mark.parametrize("kind", EVERY)
def test_each_class_says_what_a_command_that_ends_with_it_returns(kind: type[RHError]) -> None:
    exit_code = next((code for code in (4, 3, 2) if issubclass(kind, EXIT_CODES[code])), 1)
    assert kind("no").exit_code == exit_code


def test_a_journal_that_fails_after_a_submit_is_no_usage_error() -> None:
    assert JournalError("no", maybe_billed=True).exit_code == 1


def test_a_stored_name_of_an_earlier_version_is_the_name_of_no_class_of_today() -> None:
    names = {kind.__name__ for kind in EVERY}
    assert set(STORED_NAMES.values()) <= names
    assert not STORED_NAMES.keys() & names
