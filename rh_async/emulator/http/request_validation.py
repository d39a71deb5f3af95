"""What a submit's body may say, by a table of its own; whatever else is refused with the documented words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve, frozen

from rh_async.emulator.catalogue.emulated_models import Model, ModelField
from rh_async.emulator.http.payloads import Json, RequestRejected
from rh_async.emulator.state.file_store import KINDS, FileStore, StoredFile
from rh_async.emulator.state.signed_urls import InvalidLink

_COMMON_FIELDS = frozenset({"webhookUrl", "appCode"})  # contract 2.7
_DATA_URI = re.compile(r"data:(image|video|audio)/[\w.+-]+;base64,[A-Za-z0-9+/]+=*", re.ASCII)
_NODE_MEDIA = re.compile(r"\d+##(image|video|audio)", re.ASCII)


@frozen(kw_only=True)
class TaskInputs:
    """The uploaded files that a task works on; None for what lies elsewhere or is not there."""

    image: StoredFile | None = None
    video: StoredFile | None = None

    def with_file(self, stored: StoredFile | None) -> TaskInputs:
        """Put a file where its kind belongs."""
        if stored is None or stored.kind not in {"image", "video"}:
            return self
        return evolve(self, **{stored.kind: stored})


def check(model: Model, body: Json, store: FileStore) -> TaskInputs:
    """Return the files a body names, or refuse it."""
    if "webhookUrl" in body:
        _check_webhook(body["webhookUrl"])
    if model.fields is None:
        return _validate_unknown_model(body, store)
    known = {field.name for field in model.fields} | _COMMON_FIELDS
    if model.closed and (unknown := sorted(body.keys() - known)):
        raise _invalid(unknown[0])
    inputs = TaskInputs()
    for field in model.fields:
        if _given(field, body):
            for value in _each(field, body[field.name]):
                inputs = inputs.with_file(_CHECKS[field.kind](field, value, store))
    return inputs


def _given(field: ModelField, body: Json) -> bool:
    value = body.get(field.name)
    if field.required and value in (None, "", []):
        raise RequestRejected("1007", f"field '{field.name}' is required, can not be empty")
    return value is not None


def _each(field: ModelField, value: Any) -> list[Any]:
    """Return what is to be checked one by one."""
    if not field.many:
        return [value]
    if not isinstance(value, list):
        raise RequestRejected("1007")
    if field.max_items is not None and len(value) > field.max_items:
        raise _invalid(field.name)
    return value


def _check_media(field: ModelField, value: Any, store: FileStore) -> StoredFile | None:
    if not isinstance(value, str):
        raise RequestRejected("1007")
    stored = _named(field, value, store) if field.takes_file_name else _linked(field, value, store)
    if stored is None:
        return None
    if stored.kind != field.kind or (field.accept and stored.extension not in field.accept):
        raise _invalid(field.name)
    if field.largest is not None and stored.size > field.largest:
        raise RequestRejected("1008")
    return stored


def _named(field: ModelField, value: str, store: FileStore) -> StoredFile:
    if (stored := store.named(value)) is None:
        raise _invalid(field.name)
    return stored


def _linked(field: ModelField, value: str, store: FileStore) -> StoredFile | None:
    if data := _DATA_URI.fullmatch(value):
        if data[1] != field.kind:
            raise _invalid(field.name)
        return None
    if not _is_http_url(value):
        raise _invalid(field.name)
    try:
        return store.linked(value)
    except InvalidLink as bad:
        raise RequestRejected("1013", f"File processing failed: {bad}") from bad


def _check_text(field: ModelField, value: Any, _store: FileStore) -> None:
    if not isinstance(value, str):
        raise RequestRejected("1007")
    if field.max_length is not None and len(value) > field.max_length:
        raise RequestRejected("1007", f"field '{field.name}' length must be between 0 and {field.max_length}")


def _check_option(field: ModelField, value: Any, _store: FileStore) -> None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RequestRejected("1007")
    if field.options and str(value) not in field.options:
        raise RequestRejected("1007", f"field '{field.name}' value {value} is not in the allowed options")


def _check_flag(_field: ModelField, value: Any, _store: FileStore) -> None:
    if not isinstance(value, bool):
        raise RequestRejected("1007")


def _check_number(field: ModelField, value: Any, _store: FileStore) -> None:
    """Hold a number to its range; one in quotes is read like any other, as task ids are (contract 4.3)."""
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not math.isfinite(number) or (field.kind == "whole" and number != int(number)):
        raise RequestRejected("1007")
    if (field.least is not None and number < field.least) or (field.most is not None and number > field.most):
        raise _invalid(field.name)


def _check_nothing(_field: ModelField, _value: Any, _store: FileStore) -> None:
    """Take what nobody wrote down."""


def _check_list(_field: ModelField, value: Any, _store: FileStore) -> None:
    if not isinstance(value, list):
        raise RequestRejected("1007")


_CHECKS: Mapping[str, Callable[[ModelField, Any, FileStore], StoredFile | None]] = MappingProxyType(
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


def _validate_unknown_model(body: Json, store: FileStore) -> TaskInputs:
    """Hold a model whose parameters nobody wrote down to what holds for all: links are links, files are ours."""
    inputs = TaskInputs()
    for name, value in body.items():
        if node := _NODE_MEDIA.fullmatch(name):
            inputs = inputs.with_file(_check_media(_media(name, node[1]), value, store))
        elif name.endswith(("Url", "Urls")) and name != "webhookUrl":
            for url in value if isinstance(value, list) else [value]:
                inputs = inputs.with_file(_any_link(name, url, store))
    return inputs


def _any_link(name: str, url: Any, store: FileStore) -> StoredFile | None:
    if not isinstance(url, str):
        raise _invalid(name)
    if _DATA_URI.fullmatch(url):
        return None
    return _linked(ModelField(name=name, kind="text"), url, store)


def _media(name: str, kind: str) -> ModelField:
    accept = frozenset(extension for extension, its in KINDS.items() if its == kind)
    return ModelField(
        name=name, kind="image" if kind == "image" else "audio" if kind == "audio" else "video", accept=accept
    )


def _check_webhook(value: Any) -> None:
    if not isinstance(value, str) or not _is_http_url(value):
        raise _invalid("webhookUrl")


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _invalid(name: str) -> RequestRejected:
    return RequestRejected("1007", f"field '{name}' is invalid")
