"""Validates the body of a submit by the model's parameters, with the documented error messages (contract 3.2)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from rh_async.emulator.catalogue.emulated_models import FieldKind, Model, ModelField
from rh_async.emulator.http.payloads import Json
from rh_async.emulator.state.emulated_task import TaskInputs
from rh_async.emulator.state.file_store import FILE_KINDS, FileStore, StoredFile
from rh_async.emulator.state.rejections import RequestRejected
from rh_async.emulator.state.signed_urls import InvalidLink

_COMMON_FIELDS = frozenset({"webhookUrl", "appCode"})  # contract 2.7
_DATA_URI = re.compile(r"data:(image|video|audio)/[\w.+-]+;base64,[A-Za-z0-9+/]+=*", re.ASCII)
_MEDIA_KINDS: Mapping[str, FieldKind] = MappingProxyType({"image": "image", "video": "video", "audio": "audio"})
_NODE_MEDIA = re.compile(r"\d+##(image|video|audio)", re.ASCII)


def validate_request(model: Model, body: Json, file_store: FileStore) -> TaskInputs:
    """Return the uploaded files that a request names.

    :raises RequestRejected: a parameter is missing, unknown or not valid.
    """
    if "webhookUrl" in body and not _is_http_url(body["webhookUrl"]):
        raise _invalid_field("webhookUrl")
    if model.fields is None:
        return _validate_unknown_fields(body, file_store)
    known = {field.name for field in model.fields} | _COMMON_FIELDS
    if model.rejects_unknown_fields and (unknown := sorted(body.keys() - known)):
        raise _invalid_field(unknown[0])
    inputs = TaskInputs()
    for field in model.fields:
        if _is_present(field, body):
            for value in _values_of(field, body[field.name]):
                inputs = inputs.with_file(_VALIDATORS[field.kind](field, value, file_store))
    return inputs


def _is_present(field: ModelField, body: Json) -> bool:
    value = body.get(field.name)
    if field.required and value in (None, "", []):
        raise RequestRejected("1007", f"field '{field.name}' is required, can not be empty")
    return value is not None


def _values_of(field: ModelField, value: Any) -> list[Any]:
    """Return the values of a list parameter, or the one value of another."""
    if not field.is_list:
        return [value]
    if not isinstance(value, list):
        raise RequestRejected("1007")
    if field.max_items is not None and len(value) > field.max_items:
        raise _invalid_field(field.name)
    return value


def _validate_media(field: ModelField, value: Any, file_store: FileStore) -> StoredFile | None:
    if not isinstance(value, str):
        raise RequestRejected("1007")
    by_name = field.takes_file_name
    stored = _file_by_name(field, value, file_store) if by_name else _file_by_link(field, value, file_store)
    if stored is None:
        return None
    if stored.kind != field.kind or (field.extensions and stored.extension not in field.extensions):
        raise _invalid_field(field.name)
    if field.max_bytes is not None and stored.size > field.max_bytes:
        raise RequestRejected("1008")
    return stored


def _file_by_name(field: ModelField, value: str, file_store: FileStore) -> StoredFile:
    if (stored := file_store.find(value)) is None:
        raise _invalid_field(field.name)
    return stored


def _file_by_link(field: ModelField, value: str, file_store: FileStore) -> StoredFile | None:
    """Return the uploaded file behind a link; None for a data URI or a file on another server."""
    if data := _DATA_URI.fullmatch(value):
        if data[1] != field.kind:
            raise _invalid_field(field.name)
        return None
    if not _is_http_url(value):
        raise _invalid_field(field.name)
    try:
        return file_store.find_by_link(value)
    except InvalidLink as error:
        raise RequestRejected("1013", f"File processing failed: {error}") from error


def _validate_text(field: ModelField, value: Any, _file_store: FileStore) -> None:
    if not isinstance(value, str):
        raise RequestRejected("1007")
    if field.max_length is not None and len(value) > field.max_length:
        raise RequestRejected("1007", f"field '{field.name}' length must be between 0 and {field.max_length}")


def _validate_option(field: ModelField, value: Any, _file_store: FileStore) -> None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RequestRejected("1007")
    if field.options and str(value) not in field.options:
        raise RequestRejected("1007", f"field '{field.name}' value {value} is not in the allowed options")


def _validate_flag(_field: ModelField, value: Any, _file_store: FileStore) -> None:
    if not isinstance(value, bool):
        raise RequestRejected("1007")


def _validate_number(field: ModelField, value: Any, _file_store: FileStore) -> None:
    """Check a number; a number in quotes is accepted, because the server parses task ids so too (contract 4.3)."""
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not math.isfinite(number) or (field.kind == "whole" and number != int(number)):
        raise RequestRejected("1007")
    too_small = field.minimum is not None and number < field.minimum
    if too_small or (field.maximum is not None and number > field.maximum):
        raise _invalid_field(field.name)


def _validate_list(_field: ModelField, value: Any, _file_store: FileStore) -> None:
    if not isinstance(value, list):
        raise RequestRejected("1007")


def _accept_any(_field: ModelField, _value: Any, _file_store: FileStore) -> None:
    """Accept the value of a parameter whose type is not documented."""


_VALIDATORS: Mapping[str, Callable[[ModelField, Any, FileStore], StoredFile | None]] = MappingProxyType(
    {
        "image": _validate_media,
        "video": _validate_media,
        "audio": _validate_media,
        "text": _validate_text,
        "option": _validate_option,
        "flag": _validate_flag,
        "whole": _validate_number,
        "number": _validate_number,
        "list": _validate_list,
        "any": _accept_any,
    }
)


def _validate_unknown_fields(body: Json, file_store: FileStore) -> TaskInputs:
    """Validate the body of a model whose parameters are not known: only media, which names reveal (contract 2.6)."""
    inputs = TaskInputs()
    for name, value in body.items():
        if node := _NODE_MEDIA.fullmatch(name):
            inputs = inputs.with_file(_validate_media(_node_field(name, node[1]), value, file_store))
        elif name.endswith(("Url", "Urls")) and name != "webhookUrl":
            for url in value if isinstance(value, list) else [value]:
                inputs = inputs.with_file(_validate_link(name, url, file_store))
    return inputs


def _validate_link(name: str, url: Any, file_store: FileStore) -> StoredFile | None:
    if not isinstance(url, str):
        raise _invalid_field(name)
    if _DATA_URI.fullmatch(url):
        return None
    return _file_by_link(ModelField(name=name, kind="text"), url, file_store)


def _node_field(name: str, kind: str) -> ModelField:
    extensions = frozenset(extension for extension, of_kind in FILE_KINDS.items() if of_kind == kind)
    return ModelField(name=name, kind=_MEDIA_KINDS[kind], extensions=extensions)


def _is_http_url(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _invalid_field(name: str) -> RequestRejected:
    return RequestRejected("1007", f"field '{name}' is invalid")
