"""What every request shares: which fields it sends, which local files must go up first, what the model takes.

A request is a frozen value, checked when it is made. It never opens a file and never sends anything.
"""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from reprlib import Repr
from typing import Any, NoReturn, cast

from attrs import Attribute, field, frozen

from ._types import Upload
from .errors import RequestRefused

MediaValue = str | Path | Upload
"""A link or data URI that goes to the server as it is, a local file, or an upload."""

_LINKS = ("http://", "https://", "data:")
_NODE_FIELD = re.compile(r"\d+##")
_ENDPOINT = re.compile(r"\w[\w.\-]*(/\w[\w.\-]*)*", re.ASCII)  # no part begins with a dot: none leads upwards


@frozen(kw_only=True)
class MediaLimits:
    """What a model takes in one media field, as documented; None where nothing is.

    :param kinds: the kinds of file, by content, lower case.
    :param max_mb: refused above, in MB of 1024 × 1024 bytes.
    :param doubtful_mb: a limit the documents contradict: warned above, never refused.
    :param px: least and greatest width and height.
    :param box: least and greatest (long, short) side, whichever way the picture is turned.
    :param aspect: least and greatest width ÷ height.
    :param seconds: least and greatest duration.
    """

    kinds: tuple[str, ...]
    max_mb: float | None = None
    doubtful_mb: float | None = None
    px: tuple[int, int] | None = None
    box: tuple[tuple[int, int], tuple[int, int]] | None = None
    aspect: tuple[float, float] | None = None
    seconds: tuple[float, float] | None = None


@frozen
class Media:
    """A local file that a field of a request needs."""

    path: Path
    field: str
    limits: MediaLimits | None = None


def brief(value: object) -> str:
    """The value's repr, cut where a data URI, a prompt or a deep nest would flood a message."""
    printer = Repr()
    printer.maxstring = printer.maxother = 80
    return printer.repr(value)


def media_value(value: str | os.PathLike[str] | Upload) -> MediaValue:
    """Tell links and data URIs, which go as they are, from local files; what is neither is left for `check_media`."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        return cast("Upload", value)
    return value if isinstance(value, str) and value.lower().startswith(_LINKS) else Path(os.fsdecode(value))


def check_media(request: Request, name: Attribute[MediaValue], value: MediaValue) -> None:
    """Refuse what is no media value at all.

    :raises RequestRefused: it is neither a path, a link, a data URI nor an upload.
    """
    if not value or not isinstance(value, str | Path | Upload):
        request.refuse(name.name, value, "must be a path, an http(s) link, a data URI or an Upload")


def takes_file_name(name: str) -> bool:
    """Whether a field takes the upload's server name rather than its link (contract 2.5)."""
    return _NODE_FIELD.match(name) is not None


@frozen(kw_only=True)
class Request(ABC):
    """What a caller wants done; subclasses say how it is written on the wire.

    :param webhook_url: where the server may announce the end of the task (contract 7).
    """

    webhook_url: str | None = field(default=None)

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The model's path below ``/openapi/v2/``."""

    @property
    def limits(self) -> Mapping[str, MediaLimits]:
        """The documented limits of each media field, by its wire name."""
        return {}

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """The wire fields, with local files still as `pathlib.Path` and uploads as `Upload`."""

    def media(self) -> Iterator[Media]:
        """The local files that must go up first."""
        limits = self.limits
        for name, value in self.parameters().items():
            yield from (Media(leaf, name, limits.get(name)) for leaf in _leaves(value) if isinstance(leaf, Path))

    def uploads(self) -> Iterator[Upload]:
        """The uploads it was given."""
        return (leaf for value in self.parameters().values() for leaf in _leaves(value) if isinstance(leaf, Upload))

    def named(self, sha256s: Mapping[Path, str]) -> dict[str, Any]:
        """The fields with local files and uploads as their content's hash: what makes two requests the same."""

        def name(_: str, leaf: Path | Upload) -> str:
            return sha256s[leaf] if isinstance(leaf, Path) else leaf.sha256 or leaf.file_name

        return {field: _swap(value, field, name) for field, value in self.parameters().items()}

    def wire(self, uploaded: Callable[[Path | Upload], Upload], *, nonce: str = "") -> dict[str, Any]:
        """The body to send.

        :param nonce: travels in the webhook's address, as ``rh_nonce``.
        :param uploaded: answers a path with its upload, and an upload with one whose link still lives.
        """

        def server_value(name: str, leaf: Path | Upload) -> str:
            upload = uploaded(leaf)
            return upload.file_name if takes_file_name(name) else upload.url or ""

        body = {name: _swap(value, name, server_value) for name, value in self.parameters().items()}
        return body if self.webhook_url is None else body | {"webhookUrl": _with_nonce(self.webhook_url, nonce)}

    def refuse(self, name: str, value: object, rule: str) -> NoReturn:
        """Refuse a field's value, in one line.

        :raises RequestRefused: always.
        """
        raise RequestRefused(f"{type(self).__name__}.{name} = {brief(value)}: {rule}")

    def __attrs_post_init__(self) -> None:
        hook = self.webhook_url
        if hook is not None and not (isinstance(hook, str) and hook.lower().startswith(("http://", "https://"))):
            self.refuse("webhook_url", hook, "must start with http:// or https://")
        self._check_json("webhook_url", hook)
        for name, value in self.parameters().items():
            self._check_json(name, value)
            for leaf in _leaves(value):
                self._check_leaf(name, leaf)

    def _check_json(self, name: str, value: object) -> None:
        if value is None or isinstance(value, bool | Path):  # most fields, at a glance
            return
        try:
            if isinstance(value, str):
                value.encode()
                return
            sent = {name: _swap(value, name, lambda _, leaf: _sendable(leaf))}
            json.dumps(sent, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError):
            self.refuse(name, value, "must be made of JSON values, paths and uploads")

    def _check_leaf(self, name: str, leaf: object) -> None:
        if isinstance(leaf, Upload) and takes_file_name(name) and not leaf.file_name:
            self.refuse(name, leaf, "this field takes the server's file name, and the upload has none")
        if isinstance(leaf, Upload) and not takes_file_name(name) and not leaf.url:
            self.refuse(name, leaf, "this field takes a link, and the upload has none: give its path or a link instead")


def _copied(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(fields, Mapping):
        return fields
    try:
        return {name: _swap(value, "", lambda _, leaf: leaf) for name, value in fields.items()}
    except RecursionError:
        return dict(fields)  # refused a moment later, by name


@frozen
class ModelRequest(Request):
    """Any other standard model, by its endpoint and wire fields.

    :param endpoint: below ``/openapi/v2/``, for instance ``kling-v2.6-std/motion-control``.
    :param fields: JSON values; a `pathlib.Path`, also inside lists, means "upload this first".
    :raises RequestRefused: the endpoint or a field cannot be sent.
    """

    endpoint: str = field()
    fields: Mapping[str, Any] = field(converter=_copied, repr=brief)

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


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _swap(value: object, name: str, server_value: Callable[[str, Path | Upload], object]) -> object:
    if isinstance(value, Path | Upload):
        return server_value(name, value)
    if isinstance(value, Mapping):
        return {key: _swap(inner, name, server_value) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_swap(inner, name, server_value) for inner in value]
    return value


def _sendable(leaf: Path | Upload) -> str:
    return f"{leaf.file_name}{leaf.url}" if isinstance(leaf, Upload) else ""


def _with_nonce(url: str, nonce: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}rh_nonce={nonce}" if nonce else url
