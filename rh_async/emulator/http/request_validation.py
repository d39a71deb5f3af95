"""What a submit's body may say, by a table of its own; whatever else is refused with the documented words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve, frozen

from rh_async.emulator.catalogue.emulated_models import Field, Model
from rh_async.emulator.http.payloads import Json, Refused
from rh_async.emulator.state.file_store import KINDS, Store, StoredFile
from rh_async.emulator.state.signed_urls import BadLink

_EVERYWHERE = frozenset({"webhookUrl", "appCode"})  # contract 2.7
_DATA_URI = re.compile(r"data:(image|video|audio)/[\w.+-]+;base64,[A-Za-z0-9+/]+=*", re.ASCII)
_NODE_MEDIA = re.compile(r"\d+##(image|video|audio)", re.ASCII)


@frozen(kw_only=True)
class Inputs:
    """The uploaded files that a task works on; None for what lies elsewhere or is not there."""

    image: StoredFile | None = None
    video: StoredFile | None = None

    def with_file(self, stored: StoredFile | None) -> Inputs:
        """Put a file where its kind belongs."""
        if stored is None or stored.kind not in {"image", "video"}:
            return self
        return evolve(self, **{stored.kind: stored})


def check(model: Model, body: Json, store: Store) -> Inputs:
    """Return the files a body names, or refuse it."""
    if "webhookUrl" in body:
        _check_webhook(body["webhookUrl"])
    if model.fields is None:
        return _check_anything(body, store)
    known = {field.name for field in model.fields} | _EVERYWHERE
    if model.closed and (unknown := sorted(body.keys() - known)):
        raise _invalid(unknown[0])
    inputs = Inputs()
    for field in model.fields:
        if _given(field, body):
            for value in _each(field, body[field.name]):
                inputs = inputs.with_file(_CHECKS[field.kind](field, value, store))
    return inputs


def _given(field: Field, body: Json) -> bool:
    value = body.get(field.name)
    if field.required and value in (None, "", []):
        raise Refused("1007", f"field '{field.name}' is required, can not be empty")
    return value is not None


def _each(field: Field, value: Any) -> list[Any]:
    """Return what is to be checked one by one."""
    if not field.many:
        return [value]
    if not isinstance(value, list):
        raise Refused("1007")
    if field.most_items is not None and len(value) > field.most_items:
        raise _invalid(field.name)
    return value


def _check_media(field: Field, value: Any, store: Store) -> StoredFile | None:
    if not isinstance(value, str):
        raise Refused("1007")
    stored = _named(field, value, store) if field.by_name else _linked(field, value, store)
    if stored is None:
        return None
    if stored.kind != field.kind or (field.accept and stored.extension not in field.accept):
        raise _invalid(field.name)
    if field.largest is not None and stored.size > field.largest:
        raise Refused("1008")
    return stored


def _named(field: Field, value: str, store: Store) -> StoredFile:
    if (stored := store.named(value)) is None:
        raise _invalid(field.name)
    return stored


def _linked(field: Field, value: str, store: Store) -> StoredFile | None:
    if data := _DATA_URI.fullmatch(value):
        if data[1] != field.kind:
            raise _invalid(field.name)
        return None
    if not _is_web(value):
        raise _invalid(field.name)
    try:
        return store.linked(value)
    except BadLink as bad:
        raise Refused("1013", f"File processing failed: {bad}") from bad


def _check_text(field: Field, value: Any, _store: Store) -> None:
    if not isinstance(value, str):
        raise Refused("1007")
    if field.longest is not None and len(value) > field.longest:
        raise Refused("1007", f"field '{field.name}' length must be between 0 and {field.longest}")


def _check_option(field: Field, value: Any, _store: Store) -> None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Refused("1007")
    if field.options and str(value) not in field.options:
        raise Refused("1007", f"field '{field.name}' value {value} is not in the allowed options")


def _check_flag(_field: Field, value: Any, _store: Store) -> None:
    if not isinstance(value, bool):
        raise Refused("1007")


def _check_number(field: Field, value: Any, _store: Store) -> None:
    """Hold a number to its range; one in quotes is read like any other, as task ids are (contract 4.3)."""
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not math.isfinite(number) or (field.kind == "whole" and number != int(number)):
        raise Refused("1007")
    if (field.least is not None and number < field.least) or (field.most is not None and number > field.most):
        raise _invalid(field.name)


def _check_nothing(_field: Field, _value: Any, _store: Store) -> None:
    """Take what nobody wrote down."""


def _check_list(_field: Field, value: Any, _store: Store) -> None:
    if not isinstance(value, list):
        raise Refused("1007")


_CHECKS: Mapping[str, Callable[[Field, Any, Store], StoredFile | None]] = MappingProxyType(
    {
        "image": _check_media,
        "video": _check_media,
        "audio": _check_media,
        "text": _check_text,
        "option": _check_option,
        "flag": _check_flag,
        "whole": _check_number,
        "number": _check_number,
        "list": _check_list,
        "any": _check_nothing,
    }
)


def _check_anything(body: Json, store: Store) -> Inputs:
    """Hold a model whose parameters nobody wrote down to what holds for all: links are links, files are ours."""
    inputs = Inputs()
    for name, value in body.items():
        if node := _NODE_MEDIA.fullmatch(name):
            inputs = inputs.with_file(_check_media(_media(name, node[1]), value, store))
        elif name.endswith(("Url", "Urls")) and name != "webhookUrl":
            for url in value if isinstance(value, list) else [value]:
                inputs = inputs.with_file(_any_link(name, url, store))
    return inputs


def _any_link(name: str, url: Any, store: Store) -> StoredFile | None:
    if not isinstance(url, str):
        raise _invalid(name)
    if _DATA_URI.fullmatch(url):
        return None
    return _linked(Field(name=name, kind="text"), url, store)


def _media(name: str, kind: str) -> Field:
    accept = frozenset(extension for extension, its in KINDS.items() if its == kind)
    return Field(name=name, kind="image" if kind == "image" else "audio" if kind == "audio" else "video", accept=accept)


def _check_webhook(value: Any) -> None:
    if not isinstance(value, str) or not _is_web(value):
        raise _invalid("webhookUrl")


def _is_web(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _invalid(name: str) -> Refused:
    return Refused("1007", f"field '{name}' is invalid")
