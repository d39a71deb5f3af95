"""What can be made to go wrong, as data: one table of kinds, each with a line to read and its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from types import MappingProxyType
from typing import Any, Literal

from attrs import Attribute, Factory, field, frozen

Kind = Literal[
    "refuse",
    "drop_unread",
    "drop_after_accept",
    "drop_mid_answer",
    "hang",
    "redirect_307",
    "gateway_502",
    "http_429",
    "json_5xx",
    "unreadable",
    "empty",
    "oversized",
    "slow",
    "code",
    "refused_with_task",
    "refused_with_ghost",
    "other_sha",
    "truncated",
    "expired",
    "redirected",
    "unknown_status",
    "output_type",
    "failed",
    "node_errors",
    "moderation",
    "real_person",
    "success_without_results",
    "success_on_submit",
    "not_found_first",
    "late_slots",
    "foreign",
    "frozen_counts",
    "random_counts",
]
RouteName = Literal[
    "submit", "query", "upload", "download", "queue_status", "account", "cancel", "price", "app_demo", "task"
]
"""What a fault strikes: a call of the API, or for ``task`` a task at its creation."""

# Codes that leave open whether a submit was accepted (contract 8: "new submit", "retry").
_AMBIGUOUS_CODES = frozenset({"500", "1000", "1005", "1006", "1012", "1015", "1504"})


@frozen(kw_only=True)
class Trait:
    """What a kind does and what its faults take for granted.

    :param accepted: whether the request is carried out before the fault shows.
    :param ambiguous: whether a client that meets it on a submit cannot know if there is a task now.
    """

    says: str
    route: RouteName = "submit"
    accepted: bool = False
    ambiguous: bool = False
    seconds: float = 5.0
    status: int = 200
    code: str | None = None
    word: str = ""


def _on_task(says: str, **defaults: Any) -> Trait:
    return Trait(says=says, route="task", accepted=True, **defaults)


def _in_counts(says: str) -> Trait:
    return Trait(says=says, route="queue_status", accepted=True)


KINDS: Mapping[str, Trait] = MappingProxyType(
    {
        "refuse": Trait(says="The door is shut for `seconds` before the nth request; idle connections are closed."),
        "drop_unread": Trait(
            says="The connection is closed once the headers are read, the body is not.", ambiguous=True
        ),
        "drop_after_accept": Trait(
            says="The request is carried out and never answered.", accepted=True, ambiguous=True
        ),
        "drop_mid_answer": Trait(says="Half of the answer arrives, then nothing.", accepted=True, ambiguous=True),
        "hang": Trait(
            says="No answer until the server stops; `accepted` says whether it was carried out.", ambiguous=True
        ),
        "redirect_307": Trait(
            says="Another path is named, which would take the request too.", status=307, ambiguous=True
        ),
        "gateway_502": Trait(says="A gateway's HTML page, with any `status`.", status=502, ambiguous=True),
        "http_429": Trait(says="Too many requests, with or without `retry_after`.", status=429),
        "json_5xx": Trait(says="A 5xx in JSON, with or without a `code`.", status=503, ambiguous=True),
        "unreadable": Trait(says="Half of the answer and a byte that is no text.", accepted=True, ambiguous=True),
        "empty": Trait(says="HTTP 200 and nothing.", accepted=True, ambiguous=True),
        "oversized": Trait(says="The answer after `size` bytes of blanks.", accepted=True, ambiguous=True),
        "slow": Trait(says="The answer, trickling over `seconds`.", accepted=True, ambiguous=True, seconds=30.0),
        "code": Trait(says="An error `code`, as `as_type`, beside the status `word`.", code="1005"),
        "refused_with_task": Trait(
            says="A refusal that names the task it has created and charged.", accepted=True, ambiguous=True, code="421"
        ),
        "refused_with_ghost": Trait(says="A refusal that names a task that is not there.", ambiguous=True, code="421"),
        "other_sha": Trait(says="The upload answers another content's name.", route="upload", accepted=True),
        "truncated": Trait(says="Fewer bytes than the length promised.", route="download", accepted=True),
        "expired": Trait(says="The link is dead, with any `status`.", route="download", status=403),
        "redirected": Trait(says="302 to another link, which works.", route="download", status=302),
        "unknown_status": _on_task("The next `answers` say a status `word` nobody listed.", word="REVIEWING"),
        "output_type": _on_task("Its results call their type by the `word`.", word="video"),
        "failed": _on_task("The task ends FAILED, with a `code`.", code="1015"),
        "node_errors": _on_task(
            "The submit is accepted, and its promptTips name node errors; the task ends FAILED.", code="1000"
        ),
        "moderation": _on_task("The task ends FAILED by moderation.", code="1501"),
        "real_person": _on_task("The task ends FAILED over a real person.", code="1505"),
        "success_without_results": _on_task("The first `answers` that say SUCCESS have no results."),
        "success_on_submit": _on_task("The task has succeeded when the submit is answered."),
        "not_found_first": _on_task("Queries do not find the task for its first `seconds`."),
        "late_slots": _on_task("The task holds its place for `seconds` after it settled.", seconds=10.0),
        "foreign": Trait(says="`count` tasks of others on the same key, for `seconds`.", route="account", seconds=inf),
        "frozen_counts": _in_counts("The counts stay as they were when it first struck."),
        "random_counts": _in_counts("The counts are drawn, each between none and the limit."),
    }
)
FATES = frozenset(kind for kind, trait in KINDS.items() if trait.route == "task")
_LIES = frozenset(kind for kind, trait in KINDS.items() if trait.route == "queue_status")
_NEEDS_ANSWER = frozenset(kind for kind, trait in KINDS.items() if trait.accepted)


def _as_its_kind(name: str) -> Any:
    return Factory(lambda fault: getattr(_trait_of(fault.kind), name), takes_self=True)


def _trait_of(kind: str) -> Trait:
    if kind not in KINDS:
        msg = f"there is no fault of the kind {kind!r}"
        raise ValueError(msg)
    return KINDS[kind]


@frozen
class Fault:
    """One thing to go wrong; whatever is not given is as its kind has it in :data:`KINDS`.

    :param route: what it strikes.
    :param nth: the request on that route it strikes first, counted from 1 since the server started; None for the next.
    :param times: how many it strikes; None for all that follow.
    :param probability: with which it strikes each of them, drawn from the server's seed.
    :param accepted: whether the request is carried out before the fault shows.
    :param seconds: how long it lasts, on the loop's clock.
    :param status: the HTTP status.
    :param code: the error code; None for none.
    :param as_type: how a code is written; None as that route writes it.
    :param message: the words beside a code; None for the documented ones.
    :param word: the status word in the answer.
    :param answers: how many answers it spoils.
    :param retry_after: the header of that name; None for none.
    :param size: in bytes.
    :param count: how many.
    :param reason: what stands in ``failedReason``, as JSON; None for what is usual beside its code.
    """

    kind: Kind
    route: RouteName = field(default=_as_its_kind("route"), kw_only=True)
    nth: int | None = field(default=None, kw_only=True)
    times: int | None = field(default=1, kw_only=True)
    probability: float = field(default=1.0, kw_only=True)
    accepted: bool = field(default=_as_its_kind("accepted"), kw_only=True)
    seconds: float = field(default=_as_its_kind("seconds"), kw_only=True)
    status: int = field(default=_as_its_kind("status"), kw_only=True)
    code: str | None = field(default=_as_its_kind("code"), kw_only=True)
    as_type: Literal["str", "int", "null"] | None = field(default=None, kw_only=True)
    message: str | None = field(default=None, kw_only=True)
    word: str = field(default=_as_its_kind("word"), kw_only=True)
    answers: int = field(default=1, kw_only=True)
    retry_after: float | str | None = field(default=None, kw_only=True)
    size: int = field(default=48 << 20, kw_only=True)
    count: int = field(default=1, kw_only=True)
    reason: Any = field(default=None, kw_only=True, hash=False)  # what JSON can say need not be hashable

    @nth.validator
    @times.validator
    def _counts(self, attribute: Attribute[int | None], value: int | None) -> None:
        if value is not None and (not isinstance(value, int) or value < 1):
            msg = f"{attribute.name} counts from 1, or is None"
            raise ValueError(msg)

    @route.validator
    def _belongs(self, _attribute: object, route: str) -> None:
        if (self.kind in FATES) != (route == "task") or (self.kind in _LIES and route != "queue_status"):
            msg = f"{self.kind} cannot strike {route}"
            raise ValueError(msg)

    @accepted.validator
    def _can_answer(self, _attribute: object, accepted: bool) -> None:
        if self.kind in _NEEDS_ANSWER and not accepted:
            msg = f"{self.kind} spoils an answer, so there must be one"
            raise ValueError(msg)

    @property
    def ambiguous(self) -> bool:
        """Whether a client that meets it cannot know if there is a task now."""
        if self.route != "submit":
            return False
        if self.kind != "code":
            return KINDS[self.kind].ambiguous
        return self.accepted or self.as_type == "null" or self.code in _AMBIGUOUS_CODES
