"""Describes one option of a request, so that the command line and manifests need no list of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import Attribute, frozen

OptionKind = Literal["media", "text", "word", "flag", "items", "integer", "number"]
"""How a value is written: a file or link, free text, one word, yes or no, items, digits, or a decimal number."""

_KEY = "rh_async.option"


@frozen
class RequestOption:
    """Describe an option.

    :param kind: how a value is written.
    :param help: what it is, without a full stop.
    """

    kind: OptionKind
    help: str


def option(kind: OptionKind, help: str) -> Mapping[str, Any]:  # noqa: A002 - as in every command line library
    """Make the ``metadata`` of an attrs field that callers may set."""
    return {_KEY: RequestOption(kind, help)}


def option_of(field: Attribute[Any]) -> RequestOption | None:
    """Return the description of an attrs field; None where the field has none, and so is no option."""
    return field.metadata.get(_KEY)
