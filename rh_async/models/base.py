"""Defines what all requests share: the fields they send, the local files to upload first, the limits of the model.

A request is a frozen value that is checked when it is made. It never opens a file and never sends anything.
"""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Callable, Iterator, Mapping
from pathlib import Path
from reprlib import Repr
from typing import Any, NoReturn, Self, cast

from attrs import Attribute, evolve, field, frozen
from attrs import fields as attrs_fields

from rh_async._api.task_family import TaskFamily, family_of
from rh_async.errors import InvalidRequestError
from rh_async.types import Upload

from .media_input import BinaryFile, Media, Picture, media_from
from .media_limits import MediaFile, MediaLimits
from .request_option import option

MediaValue = str | Path | Upload | Media
"""A link or data URI, which is sent as it is, a local file, an upload, or media that are not a file yet."""

MediaInput = str | os.PathLike[str] | Upload | Media | BinaryFile | Picture | AsyncIterable[bytes]
"""What a caller may give for media: open binary files, pictures and streams become `Media`."""

Leaf = Path | Upload | Media
"""What a request may hold in the place of a file."""

_LINKS = ("http://", "https://", "data:")
_NODE_FIELD = re.compile(r"\d+##")
_ENDPOINT = re.compile(r"\w[\w.\-]*(/\w[\w.\-]*)*", re.ASCII)  # no part begins with a dot: none leads upwards


def short_repr(value: object) -> str:
    """Return the value's repr, cut where a data URI, a prompt or deep nesting would flood a message."""
    printer = Repr()
    printer.maxstring = printer.maxother = 80
    return printer.repr(value)


def media_value(value: MediaInput) -> MediaValue:
    """Convert what a caller gave: a link or data URI stays text, a file becomes a path, a source becomes `Media`.

    Anything else stays as it is: `check_media` refuses it, and names the field.
    """
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        return media_from(value) or cast("Upload", value)
    return value if isinstance(value, str) and value.lower().startswith(_LINKS) else Path(os.fsdecode(value))


def check_media(request: Request, name: Attribute[MediaValue], value: MediaValue) -> None:
    """Refuse a value that is not media.

    :raises InvalidRequestError: it is neither a path, a link, a data URI, an upload nor media.
    """
    if not value or not isinstance(value, str | Path | Upload | Media):
        hint = "; bytes go as Media.from_bytes(data, name)" if isinstance(value, bytes | bytearray) else ""
        request.refuse(name.name, value, f"must be a path, an http(s) link, a data URI, Media or an Upload{hint}")


def takes_file_name(name: str) -> bool:
    """Whether a field takes the server's name of an upload, not its link (contract 2.5)."""
    return _NODE_FIELD.match(name) is not None


@frozen(kw_only=True)
class Request(ABC):
    """Describe one job; subclasses say which fields are sent.

    :param webhook_url: where the server may announce the end of the task (contract 7).
    """

    webhook_url: str | None = field(
        default=None, metadata=option("word", "an address the server calls when the job is over")
    )

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The path of the model below ``/openapi/v2/``."""

    @property
    def task_family(self) -> TaskFamily:
        """Who encodes, decodes, queries, cancels and prices its task: by default, the family that owns the endpoint."""
        return family_of(self.endpoint)

    @property
    def limits(self) -> Mapping[str, MediaLimits]:
        """The documented limits of each media field, by the field's name in the API."""
        return {}

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Return the API's fields, with local files still as `pathlib.Path` and uploads as `Upload`."""

    def sources(self) -> Iterator[Media]:
        """Return the media that must be written to disk before anything else."""
        return (leaf for value in self.parameters().values() for leaf in _iter_leaves(value) if isinstance(leaf, Media))

    def with_files(self, paths: Mapping[Media, Path]) -> Self:
        """Copy the request with files in the place of media that were not files.

        :raises InvalidRequestError: a field keeps its media where no file can take its place.
        """
        values = {one.alias: getattr(self, one.name) for one in attrs_fields(type(self)) if one.init and one.alias}
        changes: dict[str, Any] = {name: _map_leaves(value, name, _to_path(paths)) for name, value in values.items()}
        changed = evolve(self, **changes)
        if any(changed.sources()):
            self.refuse("parameters()", "media", "is kept in no attrs field; give a path")
        return changed

    def media(self) -> Iterator[MediaFile]:
        """Return the local files that must be uploaded first."""
        limits = self.limits
        for name, value in self.parameters().items():
            yield from (
                MediaFile(leaf, name, limits.get(name)) for leaf in _iter_leaves(value) if isinstance(leaf, Path)
            )

    def uploads(self) -> Iterator[Upload]:
        """Return the uploads that it was given."""
        return (
            leaf for value in self.parameters().values() for leaf in _iter_leaves(value) if isinstance(leaf, Upload)
        )

    def fingerprint(self, sha256s: Mapping[Path, str]) -> dict[str, Any]:
        """Return the fields with the hash of the content in the place of files and uploads.

        Two requests of one endpoint with equal fingerprints ask for the same: the journal derives keys from it.
        """

        def name(_: str, leaf: Leaf) -> str:
            if isinstance(leaf, Media):  # the session writes it to a file first
                raise TypeError(f"{leaf!r} is no file yet")
            return sha256s[leaf] if isinstance(leaf, Path) else leaf.sha256 or leaf.file_name

        return {field: _map_leaves(value, field, name) for field, value in self.parameters().items()}

    def to_body(self, uploaded: Callable[[Path | Upload], Upload], *, webhook_token: str = "") -> dict[str, Any]:
        """Return the body to send.

        :param webhook_token: travels in the webhook's address, as ``rh_nonce``.
        :param uploaded: returns the upload of a path, and for an upload one whose link is still valid.
        """

        def server_value(name: str, leaf: Leaf) -> str:
            if isinstance(leaf, Media):
                raise TypeError(f"{leaf!r} is no file yet")
            upload = uploaded(leaf)
            return upload.file_name if takes_file_name(name) else upload.url or ""

        body = {name: _map_leaves(value, name, server_value) for name, value in self.parameters().items()}
        return body if self.webhook_url is None else body | {"webhookUrl": _with_token(self.webhook_url, webhook_token)}

    def refuse(self, name: str, value: object, rule: str) -> NoReturn:
        """Refuse the value of a field, in one line.

        :raises InvalidRequestError: always.
        """
        raise InvalidRequestError(f"{type(self).__name__}.{name} = {short_repr(value)}: {rule}")

    def __attrs_post_init__(self) -> None:
        hook = self.webhook_url
        if hook is not None and not (isinstance(hook, str) and hook.lower().startswith(("http://", "https://"))):
            self.refuse("webhook_url", hook, "must start with http:// or https://")
        self._check_json("webhook_url", hook)
        for name, value in self.parameters().items():
            self._check_json(name, value)
            for leaf in _iter_leaves(value):
                self._check_leaf(name, leaf)

    def _check_json(self, name: str, value: object) -> None:
        if value is None or isinstance(value, bool | Path):  # most fields: no need to encode them
            return
        try:
            if isinstance(value, str):
                value.encode()
                return
            sent = {name: _map_leaves(value, name, lambda _, leaf: _sent_text(leaf))}
            json.dumps(sent, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError):
            self.refuse(name, value, "must be made of JSON values, paths and uploads")

    def _check_leaf(self, name: str, leaf: object) -> None:
        if isinstance(leaf, Upload) and takes_file_name(name) and not leaf.file_name:
            self.refuse(name, leaf, "this field takes the server's file name, and the upload has none")
        if isinstance(leaf, Upload) and not takes_file_name(name) and not leaf.url:
            self.refuse(name, leaf, "this field takes a link, and the upload has none: give its path or a link instead")


def _copy_fields(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(fields, Mapping):
        return fields
    try:
        return {name: _map_leaves(_with_media(value), "", lambda _, leaf: leaf) for name, value in fields.items()}
    except RecursionError:
        return dict(fields)  # refused a moment later, by name


@frozen
class ModelRequest(Request):
    """Ask any standard model, by its endpoint and the API's fields.

    :param endpoint: below ``/openapi/v2/``, for instance ``kling-v2.6-std/motion-control``.
    :param fields: JSON values; a `pathlib.Path`, also inside lists, means "upload this first".
    :raises InvalidRequestError: the endpoint or a field cannot be sent.
    """

    endpoint: str = field()
    fields: Mapping[str, Any] = field(converter=_copy_fields, repr=short_repr)

    def parameters(self) -> dict[str, Any]:
        return dict(self.fields)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.endpoint, str) or not _ENDPOINT.fullmatch(self.endpoint):
            self.refuse("endpoint", self.endpoint, "must be a path like 'vendor/model', without slashes at its ends")
        if not isinstance(self.fields, Mapping):
            self.refuse("fields", self.fields, "must map field names to values")
        for name in self.fields:
            if not isinstance(name, str):
                self.refuse("fields", name, "field names must be text")
        if self.webhook_url is not None and "webhookUrl" in self.fields:
            self.refuse("webhook_url", self.webhook_url, "is given in the fields too; give it once")
        super().__attrs_post_init__()


def _with_media(value: object) -> object:
    """Make `Media` of open files, pictures and streams, also inside lists and mappings."""
    if isinstance(value, Mapping):
        return {key: _with_media(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_media(inner) for inner in value]
    return media_from(value) or value


def _iter_leaves(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _iter_leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _iter_leaves(inner)
    else:
        yield value


def _map_leaves(value: object, name: str, server_value: Callable[[str, Leaf], object]) -> object:
    if isinstance(value, Path | Upload | Media):
        return server_value(name, value)
    if isinstance(value, Mapping):
        return {key: _map_leaves(inner, name, server_value) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_map_leaves(inner, name, server_value) for inner in value]
    return value


def _to_path(paths: Mapping[Media, Path]) -> Callable[[str, Leaf], Path | Upload]:
    return lambda _, leaf: paths[leaf] if isinstance(leaf, Media) else leaf


def _sent_text(leaf: Leaf) -> str:
    return f"{leaf.file_name}{leaf.url}" if isinstance(leaf, Upload) else ""


def _with_token(url: str, token: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}rh_nonce={token}" if token else url
