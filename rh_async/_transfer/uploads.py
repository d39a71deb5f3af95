"""Local files to server values: checked, hashed, streamed, and each content only once however many jobs share it.

Nothing here is paid, so everything here is repeated freely; a file that changes on the way is refused.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
from collections.abc import Awaitable, Callable, Hashable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
from attrs import define, field, frozen

from rh_async._api.endpoints import decode_upload, encode_upload
from rh_async._concurrency.session_tasks import SessionTasks
from rh_async._concurrency.single_flight import SingleFlight
from rh_async._http.transport import FileBody, Transport
from rh_async._journal.sqlite import Journal
from rh_async._media.file_io import in_thread, is_shortage
from rh_async._media.filetype import HEAD, guess_kind
from rh_async._media.mp4 import duration
from rh_async._printable import one_line
from rh_async.errors import InvalidMedia
from rh_async.events import Event, Uploaded, Uploading, Warned
from rh_async.models.base import MediaFile, MediaLimits
from rh_async.types import Upload

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_AT_ONCE = 8
_LINK_LIFE = 23 * 3600.0  # an hour less than the signature's 24 h (contract 5.1)
_DOUBTFUL_MB = 30  # documented for the upload itself, while model limits reach 500 MB (contract 5.1)
_MB = 1024 * 1024
_SUFFIX = re.compile(r"[a-z0-9]{1,8}")
_REMEMBERED = 10_000
_SHA256 = re.compile(r"[0-9a-f]{64}")


@frozen
class _File:
    """A local file as it stood when it was looked at."""

    path: Path
    device: int
    inode: int
    size: int
    mtime_ns: int
    kind: str = field(eq=False)

    @property
    def identity(self) -> Hashable:
        return self.device, self.inode, self.size, self.mtime_ns


@frozen
class Content:
    """What is in a file.

    :param sha256: in hex.  :param seconds: how long it lasts, if it is a video whose header says so.
    """

    sha256: str
    seconds: float | None


@frozen
class _Stored:
    upload: Upload
    path: Path
    limits: MediaLimits | None
    until: float  #: when its link dies, on the loop's clock
    until_utc: float  #: the same by the time of day, which goes on while the computer sleeps
    kept: bool = False  #: whether an earlier session brought it up


@define(eq=False, kw_only=True, repr=False)
class Uploads:
    """The upload helper of one session.

    :param tasks: where shared work runs, so that one who gives up waiting disturbs nobody.
    :param tell: takes events.
    :param wall: tells the time of day.
    :param journal: remembers over sessions what went up.
    """

    transport: Transport
    tasks: SessionTasks
    tell: Callable[[Event], None]
    wall: Callable[[], datetime]
    journal: Journal | None = None
    _warned: bool = field(default=False, init=False)
    _contents: dict[Hashable, SingleFlight[Content]] = field(factory=dict, init=False)
    _flights: dict[str, SingleFlight[_Stored]] = field(factory=dict, init=False)
    _known: dict[str, _Stored] = field(factory=dict, init=False)  #: the last answer for each content
    _lanes: anyio.CapacityLimiter = field(factory=lambda: anyio.CapacityLimiter(_AT_ONCE), init=False)

    async def ensure_uploaded(self, media: MediaFile) -> Upload:
        """Bring a file to the server, unless its content is there already.

        :raises InvalidMedia: it cannot be read, is not what the field takes, or changed on the way.
        :raises RHError: it could not be brought up.
        """
        file = await in_thread(partial(_inspect, media))
        content = await self._read(file)
        return (await self._store(content.sha256, file, media.limits)).upload

    async def content(self, media: MediaFile) -> Content:
        """What is in a file, read once while the file stays as it is.

        :raises InvalidMedia: it cannot be read, or is not what the field takes.
        """
        return await self._read(await in_thread(partial(_inspect, media)))

    async def _read(self, file: _File) -> Content:
        return await self._shared(self._contents, file.identity, lambda: _content(file))

    async def refresh_url(self, upload: Upload) -> Upload:
        """The same upload with a link that lives: what this session brought up is brought up again when it is old."""
        stored = self._known.get(upload.sha256)
        if stored is None:
            return upload
        if self._serves(stored):
            return stored.upload
        again = await self.ensure_uploaded(MediaFile(stored.path, "", stored.limits))
        if again.sha256 != upload.sha256:
            raise InvalidMedia(f"{stored.path} changed since it went up; nothing was submitted")
        return again

    async def _store(self, sha256: str, file: _File, limits: MediaLimits | None) -> _Stored:
        flight = self._flights.get(sha256)
        if flight is not None and flight.values and not self._serves(flight.values[0]):
            del self._flights[sha256]
        stored = await self._shared(self._flights, sha256, lambda: self._send(sha256, file, limits))
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[sha256] = stored
        return stored

    def _serves(self, stored: _Stored) -> bool:
        """Whether a link is young by both clocks: one stands still in sleep, the other can be set."""
        return anyio.current_time() < stored.until and self.wall().timestamp() < stored.until_utc

    async def _shared(self, flights: dict[K, SingleFlight[T]], key: K, work: Callable[[], Awaitable[T]]) -> T:
        while True:
            flight = flights.get(key)
            mine = flight is None or flight.error is not None
            if flight is None or mine:
                _forget_oldest(flights)
                flight = flights[key] = SingleFlight[T]()
                self.tasks.start_soon(flight.run, work)
            try:
                return await flight.value()
            except InvalidMedia:
                if mine:
                    raise
            # Another file with the same content changed, or went: that says nothing of this one.

    async def _send(self, sha256: str, file: _File, limits: MediaLimits | None) -> _Stored:
        if (kept := await self._kept(sha256, file, limits)) is not None:
            return kept
        _warn_if_doubtful(file, limits)
        async with self._lanes:
            stored = await self.transport.with_retries(lambda: self._attempt(sha256, file, limits))
        if self.journal is not None:
            await self.journal.keep_upload(stored.upload, life=_LINK_LIFE)
        return stored

    async def _kept(self, sha256: str, file: _File, limits: MediaLimits | None) -> _Stored | None:
        """What an earlier session was answered for this content, while its link lives."""
        found = None if self.journal is None else await self.journal.upload(sha256, file.size)
        if found is None:
            return None
        upload, life = found
        return self._stored(upload, file, limits, life=life, kept=True)

    def _stored(
        self, upload: Upload, file: _File, limits: MediaLimits | None, *, life: float, kept: bool = False
    ) -> _Stored:
        until, until_utc = anyio.current_time() + life, self.wall().timestamp() + life
        return _Stored(upload, file.path, limits, until, until_utc, kept)

    async def invalidate(self, uploads: Iterable[Upload]) -> bool:
        """The server refused inputs: forget those that an earlier session brought up; whether there were any."""
        flights = {upload.sha256: self._flights.get(upload.sha256) for upload in uploads}
        kept = [sha256 for sha256, flight in flights.items() if flight and flight.values and flight.values[0].kept]
        for sha256 in kept:
            del self._flights[sha256]
            if self.journal is not None:
                await self.journal.forget_upload(sha256)
        return bool(kept)

    async def _attempt(self, sha256: str, file: _File, limits: MediaLimits | None) -> _Stored:
        if await in_thread(partial(_inspect, MediaFile(file.path, ""))) != file:
            raise InvalidMedia(f"{file.path} changed while it waited to go up; nothing was submitted")
        body = FileBody(path=file.path, name=f"media.{file.kind}", size=file.size, progress=self._progress(file))
        began, began_utc = anyio.current_time(), self.wall().timestamp()
        stored = await self.transport.send(encode_upload(), decode_upload, file=body)
        if body.sha256 != sha256:
            raise InvalidMedia(f"{file.path} changed while it went up; nothing was submitted")
        self._compare(stored.file_name, sha256)
        upload = Upload(file_name=stored.file_name, url=stored.url, sha256=sha256, size=file.size)
        self.tell(Uploaded(path=file.path, upload=upload))
        return _Stored(upload, file.path, limits, began + _LINK_LIFE, began_utc + _LINK_LIFE)

    def _compare(self, file_name: str, sha256: str) -> None:
        """Say, once, that a stored file's name has another hash: nobody documents that it has any to do with ours."""
        named = _SHA256.search(file_name)
        if named is not None and named.group() != sha256 and not self._warned:
            self._warned = True
            words = f"the server calls an upload {one_line(file_name)}, and its SHA-256 is {sha256}"
            log.warning("rh_async.upload_name %s", words)
            self.tell(Warned(code="upload_name", message=words))

    def _progress(self, file: _File) -> Callable[[int], None]:
        return lambda sent: self.tell(Uploading(path=file.path, bytes=sent, total=file.size))


def _forget_oldest(flights: dict[Any, Any]) -> None:
    """Keep memory bounded over a run of very many files; what is forgotten is hashed or sent once more."""
    if len(flights) >= _REMEMBERED:
        done = (key for key, flight in flights.items() if flight.done.is_set())
        if (oldest := next(done, None)) is not None:
            del flights[oldest]


def _inspect(media: MediaFile) -> _File:
    """Look at a file before its first byte goes up; runs in a thread."""
    path = media.path
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # opening a pipe would wait for whoever writes to it
            what = "a directory" if stat.S_ISDIR(facts.st_mode) else "no regular file"
            raise InvalidMedia(f"{path} is {what}; give the file itself")
        with path.open("rb") as source:
            head = source.read(HEAD)
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name
        if is_shortage(error):
            raise
        raise InvalidMedia(f"{path!r:.300} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not facts.st_size:
        raise InvalidMedia(f"{path} is empty")
    kind = guess_kind(head)
    _check(media, kind, facts.st_size)
    suffix = path.suffix.lower().lstrip(".")
    named = suffix if _SUFFIX.fullmatch(suffix) else "bin"
    return _File(path, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, kind or named)


def _check(media: MediaFile, kind: str | None, size: int) -> None:
    limits = media.limits or MediaLimits(kinds=())
    if limits.kinds and kind not in limits.kinds:
        found = kind.upper() if kind else "no known kind of media"
        taken = " or ".join(known.upper() for known in limits.kinds)
        raise InvalidMedia(f"{media.path} is {found}; {media.field} takes {taken}")
    if limits.max_mb is not None and size > limits.max_mb * _MB:
        raise InvalidMedia(f"{media.path} has {size / _MB:.1f} MB; {media.field} takes {limits.max_mb:g} MB at most")


def _warn_if_doubtful(file: _File, limits: MediaLimits | None) -> None:
    doubtful = (limits and limits.warn_mb) or _DOUBTFUL_MB
    if file.size > doubtful * _MB:
        facts = {"path": os.fspath(file.path), "size": file.size, "limit_mb": doubtful}
        log.warning("rh_async.media_over_doubtful_limit %(path)s: %(size)d bytes, documented %(limit_mb)g MB", facts)


async def _content(file: _File) -> Content:
    def read() -> Content:
        try:
            with file.path.open("rb") as source:
                seconds = duration(source) if file.kind in {"mp4", "mov"} else None
                source.seek(0)
                return Content(hashlib.file_digest(source, "sha256").hexdigest(), seconds)
        except OSError as error:
            if is_shortage(error):
                raise
            raise InvalidMedia(f"{file.path} cannot be read: {error.strerror or error}") from error

    return await in_thread(read)
